/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The object of this process that defines a function, by the order of the dynamic linker. Any thread. dlerror(3) may
 * have a text of it afterwards.
 */
#ifndef CONSUL_AGENT_SYMBOLS_H
#define CONSUL_AGENT_SYMBOLS_H

/*
 * Return the first object of the process that defines a function, as its address. `*file` is its file, borrowed from the
 * dynamic linker. Return NULL without such an object.
 */
const void *consul_symbol_object(const char *name, const char **file);

/* Return the object that has an address, as its own address. Return NULL otherwise. */
const void *consul_address_object(const void *address, const char **file);

#endif
