/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The snapshots of an entry: the references in store/cache/entry.c, and of a leaf with the roots of its chain.
 *
 * Handshakes hold the present leaf, and use it without the lock. A watch and a question keep others meanwhile, and
 * the store is freed at the end. Nobody uses a freed snapshot, each is freed once, and none is left.
 *
 * Each of these faults has to be found:
 * faults: REFERENCE_WITHOUT_LOCK OLD_ONE_FREED_AT_ONCE KEPT_WITHOUT_REFERENCE CHECKED_ROOTS_BORROWED
 */
#define SNAPSHOTS 4
#define NONE SNAPSHOTS

byte refs[SNAPSHOTS];
bool freed[SNAPSHOTS];
byte kept = NONE;    /* entry->leaf */
byte checked = NONE; /* entry->checked: the roots that its chain was verified to */
byte made, users = 3;
bool lock;

#define TAKE atomic { !lock -> lock = true }
#define LEAVE lock = false

inline ref(s)
{
    assert(!freed[s]);
    refs[s]++
}

inline unref(s)
{
    if
    :: s != NONE ->
        atomic {
            assert(!freed[s] && refs[s] > 0);
            refs[s]--;
            freed[s] = (refs[s] == 0)
        }
    :: else
    fi
}

/* A new snapshot has its maker's reference. */
inline make(s)
{
    atomic {
        s = made;
        made++;
        refs[s] = 1
    }
}

/* consul_entry_leaf, the use of the leaf, and chain_was_verified. */
proctype handshake()
{
    byte leaf;

#ifdef REFERENCE_WITHOUT_LOCK
    leaf = kept;
#else
    TAKE;
    leaf = kept;
#endif
    if
    :: leaf != NONE -> ref(leaf)
    :: else
    fi;
#ifndef REFERENCE_WITHOUT_LOCK
    LEAVE;
#endif
    if
    :: leaf != NONE -> assert(!freed[leaf]) /* the certificate is sent, the key signs */
    :: else
    fi;
    TAKE;
    if
    :: checked != NONE -> assert(!freed[checked])
    :: else
    fi;
    LEAVE;
    unref(leaf);
    users--
}

/* A watch or a question: consul_entry_keep_leaf, with roots of its own. */
proctype keeper()
{
    byte leaf, roots, old, old_checked;

    make(leaf);
    make(roots);
    TAKE;
    old = kept;
    old_checked = checked;
#ifndef KEPT_WITHOUT_REFERENCE
    ref(leaf);
#endif
    kept = leaf;
#ifndef CHECKED_ROOTS_BORROWED
    ref(roots);
#else
    old_checked = NONE;
#endif
    checked = roots;
    LEAVE;
#ifdef OLD_ONE_FREED_AT_ONCE
    if
    :: old != NONE -> freed[old] = true; refs[old] = 0
    :: else
    fi;
#else
    unref(old);
#endif
    unref(old_checked);
    unref(leaf);
    unref(roots);
    users--
}

proctype free_of_the_entry()
{
    byte s;

    users == 0;
    unref(kept);
    unref(checked);
    for (s : 0 .. SNAPSHOTS - 1) {
        assert(freed[s] && refs[s] == 0)
    }
}

init
{
    atomic {
        run handshake();
        run keeper();
        run keeper();
        run free_of_the_entry()
    }
}
