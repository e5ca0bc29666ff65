// SPDX-License-Identifier: Apache-2.0
// The SPIFFE ID of the client, for nginx with njs (Debian's package libnginx-mod-http-js). See doc/peers.md.
// The provider has verified the certificate, and the ID in it, before nginx sees a request.
export default { id };

// Return the ID of the client's leaf, or "" for a connection without one.
function id(request) {
    const pem = request.variables.ssl_client_raw_cert;

    if (!pem)
        return '';
    const der = Buffer.from(pem.replace(/-----[^-]+-----|\s/g, ''), 'base64');
    const uris = names(der).filter(name => name.tag === 0x86); // uniformResourceIdentifier, RFC 5280 4.2.1.6

    return uris.length === 1 ? der.slice(uris[0].begin, uris[0].end).toString() : '';
}

// Return the names of the subjectAltName of a certificate.
function names(der) {
    const certificate = within(der, { begin: 0, end: der.length })[0];
    const wrapped = within(der, within(der, certificate)[0]).filter(part => part.tag === 0xa3);
    const extensions = wrapped.length === 1 ? within(der, within(der, wrapped[0])[0]) : [];

    for (let i = 0; i < extensions.length; i++) {
        const parts = within(der, extensions[i]);

        if (der.slice(parts[0].begin, parts[0].end).toString('hex') === '551d11')
            return within(der, within(der, parts[parts.length - 1])[0]);
    }
    return [];
}

// Return the tag and the place of each value inside of a value of DER, X.690 8.1.
function within(der, outer) {
    const found = [];
    let at = outer.begin;

    while (at < outer.end) {
        const tag = der[at];
        let length = der[at + 1];

        at += 2;
        if (length > 0x80) {
            const end = at + length - 0x80;

            for (length = 0; at < end; at++)
                length = 256 * length + der[at];
        }
        found.push({ tag: tag, begin: at, end: at + length });
        at += length;
    }
    return found;
}
