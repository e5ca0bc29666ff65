# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh
# Debian's packages and mirrors, for the scripts beside this file. They source it from the root of the
# repository. A caller of fail_with_log has set log.
# shellcheck disable=SC2034,SC2154

setup=$PWD/build/setup

build_packages='gcc libc6-dev meson ninja-build pkg-config
    libssl-dev libcurl4-openssl-dev libjansson-dev libcmocka-dev'
demo_packages='openssl bind9-dnsutils curl'
pip_packages='python3-pip'
peers_packages='python3-setuptools python3-wheel maven default-jdk-headless'
# The applications in this list are tested as Debian ships them.
test_packages='openssl curl python3-pytest python3-pytest-xdist python3-cryptography
    nginx-light libnginx-mod-http-js apache2-bin haproxy lighttpd lighttpd-mod-openssl stunnel4
    postgresql redis-server mariadb-server-core mariadb-client-core
    lua5.4 lua-sec prosody squid-openssl openvpn nodejs
    dnsmasq-base iproute2'
# A released Debian has these under test. The trees of sid are without them.
host_packages='freeradius eapoltest proftpd-core proftpd-mod-crypto
    dovecot-imapd mosquitto postfix libio-socket-ssl-perl php-cli ruby
    pgbouncer python3-twisted'
fips_packages=openssl-provider-fips # Debian 12 has none
quic_packages=python3-aioquic       # a peer for the HTTP/3 of nginx and HAProxy, which Debian 12's have not
bench_packages='openssl python3-pytest python3-cryptography valgrind mmdebstrap'
check_packages='clang clang-format libclang-rt-dev codespell mandoc mmdebstrap prometheus spin clang-tidy cppcheck gcovr'
package_packages='debhelper dpkg-dev git lintian rpm xz-utils'

fail() {
    echo "${0##*/}: $*" >&2
    exit 1
}

# Show apt's own errors and warnings in $log, without the addresses of the mirrors.
fail_with_log() {
    grep '^[EW]:' "$log" | sed -E 's#(://)[^/ ]+#\1...#g' >&2
    fail "$1; the whole log is $log"
}

# Print the mirrors of the machine's own apt sources, the distribution's main archive first.
debian_mirrors() {
    codename=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
    # shellcheck disable=SC2016  # apt's own fields, not the shell's
    apt-get indextargets --no-release-info --format '$(COMPONENT) $(RELEASE) $(REPO_URI)' \
        'Created-By: Packages' |
        awk -v own="$codename" '
            $1 == "main" && !seen[$3]++ { if ($2 == own) print $3; else others = others "\n" $3 }
            END { print others }'
}
