/* SPDX-License-Identifier: BSD-3-Clause
 *
 * `vhostctl --complete WORD...`: how the last word could go on, one candidate a line. The shell's
 * completion script calls it, so that everything it knows comes from the tables and the daemon.
 */
#ifndef VHOSTCTL_COMPLETE_H
#define VHOSTCTL_COMPLETE_H

/** A line of its own: the word is a file name, which the shell completes better. */
#define COMPLETE_FILES "//files"

/** The words of the command line after "vhostctl"; an "=" may be a word, as bash has it. */
void complete_print(int n_words, char **words);

#endif
