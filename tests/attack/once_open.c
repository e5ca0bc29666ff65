/* SPDX-License-Identifier: Apache-2.0 */
#include "once_open.h"

#include <stddef.h>

const char *const once_open[] = {
    "role=client governed=service take=chain place=verify peer=odd-id",
    "governed=demand-alone protocol=TLSv1.1 given=client-hello security=ssl message=ssl "
    "session=context check=openssl mode=demand look=revives",
    "protocol=TLSv1.3 take=mode place=message look=revives peer=none",
    "message=context take=all place=security life=cache look=revives peer=purpose",
    "governed=empty-service message=context take=all place=security life=cache look=revives drive=data",
    "role=client protocol=TLSv1.3 security=context message=removed info=inside place=info call=fourth-on "
    "mode=accept life=ticket-keys drive=early name=other-service",
    "message=context take=all place=info life=renegotiating peer=denied",
    "message=context take=all place=between life=renegotiating drive=data peer=denied",
    "message=context take=all place=info life=renegotiating look=revives peer=denied",
    "role=client check=context ciphers=rsa-first look=revives peer=site-rsa",
    "protocol=TLSv1.1 check=roots look=revives peer=subject",
    "role=client protocol=TLSv1.3 given=client-cert-cb security=context check=openssl look=revives "
    "name=other-service",
    "role=client protocol=TLSv1.3 security=context place=message life=ticket-keys look=revives "
    "name=service peer=denied",
    "protocol=TLSv1.3 take=shutdown place=between drive=early peer=odd-id",
    "protocol=TLSv1.3 message=context take=shutdown place=between drive=early peer=odd-id",
    "protocol=TLSv1.3 look=revives drive=early peer=claimant",
    "given=client-hello security=context session=context take=certificate "
    "place=extension-added peer=none",
    "role=client governed=service check=roots peer=odd-id",
    "given=late-switch security=context message=context session=ssl life=resumed peer=none",
    "given=switch message=inside place=alpn life=cache peer=other-service",
    "role=client given=client-cert-cb security=ssl message=context info=inside place=info "
    "call=eighth-on peer=self-signed",
    "role=client given=cert-cb message=context check=ssl info=inside place=info call=eighth-on "
    "peer=claimant",
    "role=client given=client-cert-cb security=ssl message=removed take=certificate "
    "place=new-session life=async name=other-service",
    "role=client security=ssl message=removed info=inside place=new-session mode=accept ciphers=all "
    "life=async peer=none",
    "security=context hello=ssl message=ssl session=removed mode=once life=cleared-site peer=expired",
    "role=client given=client-cert-cb take=certificate place=extension-added peer=named",
    "given=cert-cb take=ctx place=servername peer=other-service",
    "protocol=TLSv1.1 given=switch take=certificate place=cert-cb peer=self-signed",
    "take=other-leaf place=between call=second peer=other-only",
    "security=inside take=other-beside place=own-chain peer=other-only",
    "given=beside message=removed take=other-leaf place=alpn peer=web-only prefers=rsa",
    "governed=nothing security=ssl take=other-shared place=extension-added life=resumed",
    "given=switch security=inside message=removed place=client-hello life=cache peer=odd-id",
    "given=switch security=inside message=removed place=client-hello life=ticket-keys peer=odd-id",
    "given=switch message=inside info=wrapped place=session-look-up life=cache peer=purpose",
    "security=context message=context info=ssl life=resumed-site peer=none",
    NULL};
