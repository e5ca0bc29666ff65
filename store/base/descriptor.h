/*
 * A descriptor that is ours: a host may close it, and give its number to something of its own. It is
 * known by its inode. Not locked: each belongs to one thread, or to whoever holds its lock.
 */
#ifndef CONSUL_BASE_DESCRIPTOR_H
#define CONSUL_BASE_DESCRIPTOR_H

#include <stdbool.h>
#include <sys/types.h>

typedef struct consul_descriptor {
    int fd; /* -1 for none */
    dev_t dev;
    ino_t ino;
} consul_descriptor;

extern const consul_descriptor consul_no_descriptor;

/* Take a descriptor that has just been opened; false for one that is none. */
bool consul_descriptor_take(consul_descriptor *d, int fd);
bool consul_descriptor_is_ours(const consul_descriptor *d);

/* Close it if it is ours, and forget it. */
void consul_descriptor_close(consul_descriptor *d);

#endif
