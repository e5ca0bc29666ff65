/* How busy a process is, by the peers of the mesh that it meets. Any thread. */
#ifndef CONSUL_WATCH_LOAD_H
#define CONSUL_WATCH_LOAD_H

#include "watch/watch.h"

/* A handshake has met a peer of the mesh: by these, and not by strangers, a process becomes busy. */
void consul_watch_note_peer(consul_watch *watch);

/*
 * Does this process make many handshakes? Then its leaf may be some milliseconds old, so that it can
 * know decisions before they are needed.
 */
bool consul_watch_is_busy(consul_watch *watch);

#endif
