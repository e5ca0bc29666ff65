/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The phases of a process's life in which something is short. A process makes the state before a phase once. Its
 * children run the phase, each with another shortage.
 */
#ifndef ATTACK_SCARCE_SCENES_H
#define ATTACK_SCARCE_SCENES_H

#include <stdbool.h>
#include <stddef.h>

typedef struct scene {
    const char *phase, *name;
    const char *settings; /* more lines for openssl.cnf, or NULL */
    bool logs_in;         /* its token is of a login */
    bool secure;          /* the agent speaks HTTPS */
    bool loads;           /* the children load the module, and their parent does not */
    bool decodes;   /* OpenSSL decodes what a loader gives it: it crashes there without memory */
    bool is_client; /* the governed side is a client */
    bool watches;   /* the agent lets a process watch */
    bool at_exit;   /* the shortage begins at the exit of the process, after `act` */
    bool rotates;   /* the agent has another CA than before */
    bool is_lost;   /* the agent refuses connections during the shortage */
    void (*prepare)(void); /* in the parent */
    void (*begin)(void);   /* in the child, before the shortage */
    bool (*act)(
        void); /* in the child, with it; returns true where a peer was served that may not be */
} scene;

extern const scene scenes[];
extern const size_t scenes_count;

/* Make the parties, the agent and the state before the phase. Call once in a process. */
void scene_set_up(const scene *s);

/* Put files away. */
void scene_tear_down(void);

/* Return true once a friend is served again. Return false after half a minute without that. */
bool scene_recovers(const scene *s);

/* Return true where a peer is served that may not be, without a shortage. */
bool scene_is_open(const scene *s);

/* Return the module's state: true where this process has loaded it with success. */
bool scene_is_loaded(void);

#endif
