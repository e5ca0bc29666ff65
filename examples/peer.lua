-- SPDX-License-Identifier: Apache-2.0
-- The SPIFFE ID of the client, for HAProxy and for Apache's mod_lua. See doc/peers.md.
-- The provider has verified the certificate, and the ID in it, before these programs see a request.

-- Return the tag and the content of each value inside of a value of DER, X.690 8.1.
local function within(der)
    local found, at = {}, 1
    while at < #der do
        local tag, length = der:byte(at, at + 1)
        at = at + 2
        if length > 0x80 then
            local last = at + length - 0x80 - 1
            length = 0
            while at <= last do
                length = 256 * length + der:byte(at)
                at = at + 1
            end
        end
        found[#found + 1] = { tag = tag, content = der:sub(at, at + length - 1) }
        at = at + length
    end
    return found
end

-- Return the names of the subjectAltName of a certificate.
local function names(certificate)
    local tbs = within(within(certificate)[1].content)[1].content
    for _, part in ipairs(within(tbs)) do
        for _, extension in ipairs(part.tag == 0xa3 and within(within(part.content)[1].content) or {}) do
            local parts = within(extension.content)
            if parts[1].content == "\x55\x1d\x11" then
                return within(within(parts[#parts].content)[1].content)
            end
        end
    end
    return {}
end

-- Return the only URI among the names of a certificate, or "".
local function spiffe_id(der)
    local found
    for _, name in ipairs(#der > 0 and names(der) or {}) do
        if name.tag == 0x86 then -- uniformResourceIdentifier, RFC 5280 4.2.1.6
            if found then
                return ""
            end
            found = name.content
        end
    end
    return found or ""
end

if core then -- HAProxy. A converter gets text, so the certificate comes in hexadecimal.
    core.register_converters("spiffe_id", function(text)
        return spiffe_id(((text or ""):gsub("%x%x", function(digits)
            return string.char(tonumber(digits, 16))
        end)))
    end)
end

-- Set the variable CONNECT_PEER of a request in Apache, with LuaHookTranslateName.
function connect_peer(request)
    local pem = request:ssl_var_lookup("SSL_CLIENT_CERT") or ""
    local alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    local bits, count, der = 0, 0, {}
    for character in pem:gsub("%-%-%-%-%-[^-]+%-%-%-%-%-", ""):gmatch("[%w+/]") do
        bits, count = (bits % 2 ^ count) * 64 + alphabet:find(character, 1, true) - 1, count + 6
        if count >= 8 then
            count = count - 8
            der[#der + 1] = string.char(math.floor(bits / 2 ^ count))
        end
    end
    request.subprocess_env["CONNECT_PEER"] = spiffe_id(table.concat(der))
    return apache2.DECLINED
end
