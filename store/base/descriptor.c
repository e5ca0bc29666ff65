/* SPDX-License-Identifier: Apache-2.0 */
#include "base/descriptor.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

const consul_descriptor consul_no_descriptor = {.fd = -1};

bool consul_descriptor_take(consul_descriptor *d, int fd)
{
    struct stat about;

    if (fd < 0 || fstat(fd, &about) != 0)
        return false;
    d->fd = fd;
    d->dev = about.st_dev;
    d->ino = about.st_ino;
    return true;
}

int consul_descriptor_above_stderr(int opened)
{
    consul_descriptor low;
    int higher;

    if (opened < 0 || opened > STDERR_FILENO || !consul_descriptor_take(&low, opened))
        return opened;
    higher = fcntl(opened, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    consul_descriptor_close(&low);
    return higher;
}

bool consul_descriptor_is_ours(const consul_descriptor *d)
{
    struct stat about;

    return d->fd >= 0 && fstat(d->fd, &about) == 0 && about.st_dev == d->dev
           && about.st_ino == d->ino;
}

void consul_descriptor_close(consul_descriptor *d)
{
    if (consul_descriptor_is_ours(d))
        close(d->fd);
    *d = consul_no_descriptor;
}
