/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The verdicts that a family shares, in a bounded number, by the keys of cache/verdicts.c. A verdict that is half-written
 * is not found. Any thread.
 */
#ifndef CONSUL_CACHE_FAMILY_VERDICTS_H
#define CONSUL_CACHE_FAMILY_VERDICTS_H

#include "cache/family.h"
#include "cache/verdicts.h"

/*
 * Note a verdict for the family. A yes yields to a verdict of a later question. In a full set, the verdict that was asked for
 * first gives its place.
 */
void consul_family_note_verdict(const consul_family *family,
                                const unsigned char key[CONSUL_DIGEST_LEN],
                                const consul_kept_verdict *verdict);

/* Return the verdict of the family. It is CONSUL_VERDICT_NONE without one, and where nothing is shared. */
consul_kept_verdict consul_family_find_verdict(const consul_family *family,
                                               const unsigned char key[CONSUL_DIGEST_LEN]);

#endif
