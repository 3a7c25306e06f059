/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Runs a fuzz target over each file of a directory: the corpus as a regression test, without
 * libFuzzer. Usage: replay DIRECTORY
 */
#include <dirent.h>
#include <errno.h>
#include <string.h>

#include "input.h"

#define INPUT_MAX 65536

static int replay_file(const char *dir, const char *name)
{
	static uint8_t bytes[INPUT_MAX];
	char path[4096];
	uint8_t *exact;
	FILE *file;
	size_t n;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	file = fopen(path, "rb");
	if (!file) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return -1;
	}
	n = fread(bytes, 1, sizeof(bytes), file);
	fclose(file);
	exact = malloc(n ? n : 1); /* of its own length, so that sanitizers see reads behind it */
	HOLDS(exact);
	memcpy(exact, bytes, n);
	fprintf(stderr, "%s\n", name); /* the last one is the one that failed */
	LLVMFuzzerTestOneInput(exact, n);
	free(exact);
	return 0;
}

int main(int argc, char **argv)
{
	struct dirent *entry;
	unsigned int n = 0;
	int failed = 0;
	DIR *dir;

	if (argc != 2) {
		fprintf(stderr, "usage: %s DIRECTORY\n", argv[0]);
		return 2;
	}
	dir = opendir(argv[1]);
	if (!dir) {
		fprintf(stderr, "%s: %s\n", argv[1], strerror(errno));
		return 2;
	}
	while ((entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		failed |= replay_file(argv[1], entry->d_name);
		n++;
	}
	closedir(dir);
	printf("%u inputs\n", n);
	return failed || n == 0;
}
