# SPDX-License-Identifier: Apache-2.0
#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Write C with a function for each json_* and curl_* name of the given libraries. Each one aborts."""

import re
import subprocess
import sys

HEAD = """\
#include <stdlib.h>

/* Host programs have functions of any signature under such names. */
#define TAKE(name) \\
    void name(void); \\
    void name(void) { abort(); }

#ifdef OWN_ALLOCATOR
extern void *__libc_malloc(size_t size), *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *block, size_t size);
extern void __libc_free(void *block);
void *malloc(size_t size) { return __libc_malloc(size); }
void *calloc(size_t count, size_t size) { return __libc_calloc(count, size); }
void *realloc(void *block, size_t size) { return __libc_realloc(block, size); }
void free(void *block) { __libc_free(block); }
#endif

"""

names = set()
for library in sys.argv[1:]:
    listed = subprocess.run(["nm", "-D", "--defined-only", library], check=True, capture_output=True, text=True).stdout
    names |= set(re.findall(r" T ((?:json|curl)_\w+)", listed))
assert {"json_delete", "curl_free"} <= names, names
print(HEAD + "\n".join(f"TAKE({name})" for name in sorted(names)))
