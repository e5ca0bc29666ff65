/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The load of a family, in peers of the mesh. Any thread. A process that shares nothing has a load of its own, and a forked
 * child of it begins without load.
 */
#ifndef CONSUL_WATCH_LOAD_H
#define CONSUL_WATCH_LOAD_H

#include "watch/watch.h"

/* Count a handshake with a peer of the mesh. Strangers do not make a process busy. */
void consul_watch_note_peer(consul_watch *watch);

/*
 * Return true in a busy process or family. Its watch has a lane for intentions, and kept verdicts count. Without a watch,
 * its leaf may be some milliseconds old.
 */
bool consul_watch_is_busy(consul_watch *watch);

/*
 * Return true in the first handshake of a process of a busy family. Its roots may be some milliseconds old, too. A server
 * with a process for each connection has no watch that could vouch for them.
 */
bool consul_watch_is_first_of_busy(consul_watch *watch);

#endif
