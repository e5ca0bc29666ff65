/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A descriptor of the store's own. A host program may close it, and may use its number for another
 * file. The inode tells the two apart. Without a lock: a descriptor belongs to one thread, or to
 * the holder of its lock. The child of a fork inherits descriptors and may close them here.
 */
#ifndef CONSUL_BASE_DESCRIPTOR_H
#define CONSUL_BASE_DESCRIPTOR_H

#include <stdbool.h>
#include <sys/types.h>

typedef struct consul_descriptor {
    int fd;    /* the number, -1 without a descriptor */
    dev_t dev; /* the device and the inode of the file when it was opened */
    ino_t ino;
} consul_descriptor;

/* The value without a descriptor. */
extern const consul_descriptor consul_no_descriptor;

/* Take a descriptor that has just been opened. Return false for a number without an open file. */
bool consul_descriptor_take(consul_descriptor *d, int fd);

/*
 * Return a descriptor beyond those of the standard files, in the place of one that has just been opened. A host may
 * have closed its standard files, and go on to write to their numbers. Its text must not become part of a request.
 * Return -1 without one, with the errno.
 */
int consul_descriptor_above_stderr(int opened);

/* Return true while the number still leads to the file that was opened. */
bool consul_descriptor_is_ours(const consul_descriptor *d);

/* Close the descriptor where it is still ours, and forget it. */
void consul_descriptor_close(consul_descriptor *d);

#endif
