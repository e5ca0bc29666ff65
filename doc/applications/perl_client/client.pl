use strict;
use warnings;
use IO::Socket::SSL;

my $socket = IO::Socket::SSL->new(
    PeerAddr        => "web.service.consul",
    PeerPort        => 8443,
    SSL_hostname    => "web.service.consul",
    SSL_verify_mode => SSL_VERIFY_NONE,
) or die "no connection: $!, $SSL_ERROR\n";
print $socket "GET / HTTP/1.0\r\n\r\n";
print while <$socket>;
