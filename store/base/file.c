/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"

#include "base/descriptor.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const char consul_file_is_irregular[] = "it is no regular file; name one, or a link to one";

FILE *consul_file_open(const char *path, const char **why)
{
    int fd =
        consul_descriptor_above_stderr(open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
    FILE *file = NULL;
    struct stat st;

    if (fd >= 0 && fstat(fd, &st) == 0 && !S_ISREG(st.st_mode))
        *why = consul_file_is_irregular;
    else if (fd < 0 || (file = fdopen(fd, "r")) == NULL)
        *why = strerror(errno);
    if (file == NULL && fd >= 0)
        close(fd);
    return file;
}

bool consul_file_is_regular(const char *path)
{
    struct stat st;

    return stat(path, &st) != 0 || S_ISREG(st.st_mode);
}
