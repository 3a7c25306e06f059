/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * faultfs: a FUSE file system that passes on to a directory, and misbehaves on command: a hung,
 * slow, failing or forgetful store for tests and benchmarks.
 *
 *   faultfs BACKING-DIR MOUNTPOINT
 *
 * It stays in the foreground and prints `ready` once it is mounted. Standard input takes commands,
 * a line each, and each is answered by a line, `ok...` or `error REASON`:
 *
 *   hang CLASS...         calls wait until another command says otherwise
 *   delay MS CLASS...     calls take so much longer
 *   fail NUMBER CLASS...  calls fail with this errno (5 is EIO, 28 is ENOSPC)
 *   pass CLASS...         as at the start: calls are passed on; those that wait go on
 *   cache on|off          writes and holes are kept in memory until an fsync of the file, writes
 *                         with O_DSYNC or RWF_DSYNC excepted; off: written out
 *   drop                  forgets what the cache has: a power failure of the store, which is what
 *                         stable storage is for while the cache is on, not one of this machine
 *   count                 ok read=N write=N fsync=N close=N held=N: calls so far, calls that wait
 *
 * A CLASS is read, write (and fallocate, truncate), fsync or close (the flush that close() waits
 * for, and release); none means these four. One more is stat.
 *
 * The end of standard input ends it: what waits fails with EIO, what is cached is written out. It
 * is unmounted however it ends, unless both of its processes are killed at once. The directory is
 * flat: no folders. A write behind the end of a file goes past the cache.
 */
#define FUSE_USE_VERSION 312

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "write_cache.h"

/* Each call that waits keeps a thread. */
#define THREADS_MAX    600
#define BACKGROUND_MAX 4096

enum class { CLASS_READ, CLASS_WRITE, CLASS_FSYNC, CLASS_CLOSE, CLASS_STAT, N_CLASSES };

static const char *const class_names[] = {"read", "write", "fsync", "close", "stat"};

struct fault {
	bool hang;
	int error;
	long delay_ms;
};

struct faultfs {
	const char *mountpoint;
	int dir_fd;
	struct fuse *fuse;
	pthread_mutex_t lock;
	pthread_cond_t changed; /* a fault has */
	struct fault fault[N_CLASSES];
	unsigned long n_calls[N_CLASSES];
	unsigned int n_held;
	bool ending;
	struct write_cache cache;
};

static struct faultfs *fs_of_call(void)
{
	return fuse_get_context()->private_data;
}

/* What the command says for calls of this kind. 0: go on, or -errno. */
static int suffer(enum class class)
{
	struct faultfs *fs = fs_of_call();
	struct timespec delay = {0};
	int error;

	pthread_mutex_lock(&fs->lock);
	fs->n_calls[class]++;
	fs->n_held++;
	while (fs->fault[class].hang && !fs->ending)
		pthread_cond_wait(&fs->changed, &fs->lock);
	error = fs->ending && fs->fault[class].hang ? EIO : fs->fault[class].error;
	delay.tv_sec = fs->fault[class].delay_ms / 1000;
	delay.tv_nsec = fs->fault[class].delay_ms % 1000 * 1000000;
	pthread_mutex_unlock(&fs->lock);
	nanosleep(&delay, NULL);
	pthread_mutex_lock(&fs->lock);
	fs->n_held--;
	pthread_mutex_unlock(&fs->lock);
	return -error;
}

static int write_out(int fd, bool *ret_cached)
{
	struct faultfs *fs = fs_of_call();
	int rc;

	pthread_mutex_lock(&fs->lock);
	rc = write_cache_flush(&fs->cache, fd);
	*ret_cached = fs->cache.on;
	pthread_mutex_unlock(&fs->lock);
	return rc;
}

static const char *name_of(const char *path)
{
	return path[1] ? path + 1 : ".";
}

static int on_getattr(const char *path, struct stat *st, struct fuse_file_info *fi)
{
	int rc = suffer(CLASS_STAT);

	(void)fi;
	if (rc)
		return rc;
	return fstatat(fs_of_call()->dir_fd, name_of(path), st, AT_SYMLINK_NOFOLLOW) ? -errno : 0;
}

static int on_readdir(const char *path, void *buf, fuse_fill_dir_t fill, off_t offset,
		      struct fuse_file_info *fi, enum fuse_readdir_flags flags)
{
	DIR *dir = fdopendir(openat(fs_of_call()->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	struct dirent *entry;

	(void)path;
	(void)offset;
	(void)fi;
	(void)flags;
	if (!dir)
		return -errno;
	while ((entry = readdir(dir)))
		fill(buf, entry->d_name, NULL, 0, 0);
	closedir(dir);
	return 0;
}

static int open_backing(const char *path, struct fuse_file_info *fi, int flags, mode_t mode)
{
	int fd = openat(fs_of_call()->dir_fd, name_of(path), flags | O_CLOEXEC, mode);

	if (fd < 0)
		return -errno;
	fi->fh = (uint64_t)fd;
	fi->direct_io = 1; /* every read and write of a program comes here */
	return 0;
}

static int on_open(const char *path, struct fuse_file_info *fi)
{
	return open_backing(path, fi, fi->flags & ~(O_DIRECT | O_APPEND), 0);
}

static int on_create(const char *path, mode_t mode, struct fuse_file_info *fi)
{
	return open_backing(path, fi, (fi->flags & ~(O_DIRECT | O_APPEND)) | O_CREAT, mode);
}

static int on_read(const char *path, char *data, size_t n_bytes, off_t offset,
		   struct fuse_file_info *fi)
{
	struct faultfs *fs = fs_of_call();
	int rc = suffer(CLASS_READ);
	ssize_t n;

	(void)path;
	if (rc)
		return rc;
	pthread_mutex_lock(&fs->lock);
	n = pread((int)fi->fh, data, n_bytes, offset);
	rc = n < 0 ? -errno : (int)n;
	if (n > 0)
		write_cache_overlay(&fs->cache, (int)fi->fh, data, (size_t)n, offset);
	pthread_mutex_unlock(&fs->lock);
	return rc;
}

static int on_write(const char *path, const char *data, size_t n_bytes, off_t offset,
		    struct fuse_file_info *fi)
{
	struct faultfs *fs = fs_of_call();
	int rc = suffer(CLASS_WRITE);

	(void)path;
	if (rc)
		return rc;
	pthread_mutex_lock(&fs->lock);
	rc = write_cache_write(&fs->cache, (int)fi->fh, data, n_bytes, offset,
			       fi->flags & (O_DSYNC | O_SYNC));
	pthread_mutex_unlock(&fs->lock);
	return rc;
}

static int on_fsync(const char *path, int datasync, struct fuse_file_info *fi)
{
	int rc = suffer(CLASS_FSYNC);
	bool cached;

	(void)path;
	if (!rc)
		rc = write_out((int)fi->fh, &cached);
	if (!rc && !cached && (datasync ? fdatasync((int)fi->fh) : fsync((int)fi->fh)))
		rc = -errno;
	return rc;
}

static int on_fallocate(const char *path, int mode, off_t offset, off_t n_bytes,
			struct fuse_file_info *fi)
{
	struct faultfs *fs = fs_of_call();
	int rc = suffer(CLASS_WRITE);

	(void)path;
	if (rc)
		return rc;
	pthread_mutex_lock(&fs->lock);
	rc = write_cache_allocate(&fs->cache, (int)fi->fh, mode, n_bytes, offset);
	pthread_mutex_unlock(&fs->lock);
	return rc;
}

static int on_truncate(const char *path, off_t n_bytes, struct fuse_file_info *fi)
{
	int fd = openat(fs_of_call()->dir_fd, name_of(path), O_WRONLY | O_CLOEXEC);
	int rc = fd < 0 ? -errno : suffer(CLASS_WRITE);
	bool cached;

	(void)fi;
	if (!rc)
		rc = write_out(fd, &cached);
	if (!rc && ftruncate(fd, n_bytes))
		rc = -errno;
	if (fd >= 0)
		close(fd);
	return rc;
}

static int on_flush(const char *path, struct fuse_file_info *fi)
{
	(void)path;
	(void)fi;
	return suffer(CLASS_CLOSE);
}

static int on_release(const char *path, struct fuse_file_info *fi)
{
	int rc = suffer(CLASS_CLOSE);

	(void)path;
	close((int)fi->fh);
	return rc;
}

static int on_unlink(const char *path)
{
	return unlinkat(fs_of_call()->dir_fd, name_of(path), 0) ? -errno : 0;
}

static void *on_init(struct fuse_conn_info *conn, struct fuse_config *config)
{
	conn->max_background = BACKGROUND_MAX;
	conn->congestion_threshold = BACKGROUND_MAX;
	config->nullpath_ok = 0;
	config->attr_timeout = 0; /* every stat() comes here */
	puts("ready");
	return fuse_get_context()->private_data;
}

static const struct fuse_operations operations = {
	.init = on_init,
	.getattr = on_getattr,
	.readdir = on_readdir,
	.open = on_open,
	.create = on_create,
	.read = on_read,
	.write = on_write,
	.fsync = on_fsync,
	.fallocate = on_fallocate,
	.truncate = on_truncate,
	.flush = on_flush,
	.release = on_release,
	.unlink = on_unlink,
};

/* The rest of a command names classes; false: it names something else. */
static bool set_faults(struct faultfs *fs, char **rest, const struct fault *fault)
{
	bool chosen[N_CLASSES] = {false}, any = false;
	const char *word;
	unsigned int i;

	while ((word = strtok_r(NULL, " ", rest))) {
		for (i = 0; i < N_CLASSES && strcmp(word, class_names[i]) != 0; i++)
			;
		if (i == N_CLASSES)
			return false;
		chosen[i] = any = true;
	}
	for (i = 0; i < N_CLASSES; i++) {
		if (chosen[i] || (!any && i != CLASS_STAT))
			fs->fault[i] = *fault;
	}
	pthread_cond_broadcast(&fs->changed);
	return true;
}

static bool parse_number(char **rest, long max, long *ret_value)
{
	const char *word = strtok_r(NULL, " ", rest);
	char *end = NULL;
	long value = word ? strtol(word, &end, 10) : -1;

	if (!word || end == word || *end || value < 0 || value > max)
		return false;
	*ret_value = value;
	return true;
}

static bool set_cache(struct faultfs *fs, const char *word)
{
	if (!word || (strcmp(word, "on") != 0 && strcmp(word, "off") != 0))
		return false;
	fs->cache.on = strcmp(word, "on") == 0;
	if (!fs->cache.on)
		write_cache_flush_all(&fs->cache, fs->dir_fd);
	return true;
}

/* Carries a command out; NULL, or what is wrong with it. */
static const char *obey(struct faultfs *fs, const char *verb, char **rest)
{
	struct fault fault = {.hang = strcmp(verb, "hang") == 0};
	long number;

	if (strcmp(verb, "cache") == 0)
		return set_cache(fs, strtok_r(NULL, " ", rest)) ? NULL : "cache on or cache off";
	if (strcmp(verb, "drop") == 0) {
		write_cache_drop(&fs->cache);
		return NULL;
	}
	if (strcmp(verb, "delay") == 0) {
		if (!parse_number(rest, 3600000, &fault.delay_ms))
			return "delay MS, 0 to 3600000";
	} else if (strcmp(verb, "fail") == 0) {
		if (!parse_number(rest, 133, &number))
			return "fail NUMBER, an errno";
		fault.error = (int)number;
	} else if (!fault.hang && strcmp(verb, "pass") != 0) {
		return "hang, delay, fail, pass, cache, drop and count are the commands";
	}
	return set_faults(fs, rest, &fault) ? NULL
					    : "read, write, fsync, close and stat are the classes";
}

static void handle_line(struct faultfs *fs, char *line)
{
	const char *verb, *wrong;
	char *rest;

	line[strcspn(line, "\n")] = '\0';
	verb = strtok_r(line, " ", &rest);
	if (!verb)
		return;
	pthread_mutex_lock(&fs->lock);
	if (strcmp(verb, "count") == 0) {
		printf("ok read=%lu write=%lu fsync=%lu close=%lu held=%u\n",
		       fs->n_calls[CLASS_READ], fs->n_calls[CLASS_WRITE], fs->n_calls[CLASS_FSYNC],
		       fs->n_calls[CLASS_CLOSE], fs->n_held);
	} else {
		wrong = obey(fs, verb, &rest);
		printf("%s%s\n", wrong ? "error " : "ok", wrong ? wrong : "");
	}
	pthread_mutex_unlock(&fs->lock);
}

/* The guard unmounts after us, and that ends the connection whatever still waits in it. */
static void *commands_main(void *arg)
{
	struct faultfs *fs = arg;
	char line[256];

	while (fgets(line, sizeof(line), stdin))
		handle_line(fs, line);
	pthread_mutex_lock(&fs->lock);
	fs->ending = true;
	write_cache_flush_all(&fs->cache, fs->dir_fd);
	pthread_cond_broadcast(&fs->changed);
	pthread_mutex_unlock(&fs->lock);
	_exit(0);
}

static int serve(struct faultfs *fs, char *program)
{
	char *argv[] = {program, NULL};
	struct fuse_args args = FUSE_ARGS_INIT(1, argv);
	struct fuse_loop_config *config = fuse_loop_cfg_create();
	pthread_t commands;
	int rc;

	fs->fuse = fuse_new(&args, &operations, sizeof(operations), fs);
	if (!config || !fs->fuse || fuse_mount(fs->fuse, fs->mountpoint))
		return 1;
	fuse_loop_cfg_set_clone_fd(config, 0);
	fuse_loop_cfg_set_max_threads(config, THREADS_MAX);
	fuse_loop_cfg_set_idle_threads(config, THREADS_MAX);
	if (pthread_create(&commands, NULL, commands_main, fs))
		return 1;
	rc = fuse_loop_mt(fs->fuse, config);
	_exit(rc ? 1 : 0); /* somebody has unmounted it */
}

static void on_signal(int number)
{
	(void)number; /* waitpid() returns */
}

/* The child serves; the parent is there to unmount when the child is gone, in whatever way. */
static int guard(pid_t child, const char *mountpoint)
{
	const struct sigaction action = {.sa_handler = on_signal};
	pid_t unmounter;
	int status = 0;

	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		kill(child, SIGKILL);
	if (umount2(mountpoint, MNT_DETACH) && errno == EPERM) {
		unmounter = fork();
		if (unmounter == 0) {
			execlp("fusermount3", "fusermount3", "-uzq", mountpoint, (char *)NULL);
			_exit(127);
		}
		waitpid(unmounter, NULL, 0);
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

int main(int argc, char **argv)
{
	static struct faultfs fs = {.lock = PTHREAD_MUTEX_INITIALIZER,
				    .changed = PTHREAD_COND_INITIALIZER};
	pid_t child;

	if (argc != 3 || argv[1][0] == '-') {
		fprintf(stderr, "usage: faultfs BACKING-DIR MOUNTPOINT\n");
		return 2;
	}
	fs.mountpoint = argv[2];
	write_cache_init(&fs.cache);
	fs.dir_fd = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fs.dir_fd < 0) {
		perror(argv[1]);
		return 1;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	child = fork();
	if (child < 0) {
		perror("fork");
		return 1;
	}
	if (child > 0)
		return guard(child, fs.mountpoint);
	prctl(PR_SET_PDEATHSIG, SIGKILL); /* a dead connection fails, it does not hang */
	return serve(&fs, argv[0]);
}
