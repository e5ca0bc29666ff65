use strict;
use warnings;
use IO::Socket::SSL;

my $server = IO::Socket::SSL->new(
    LocalAddr     => "0.0.0.0",
    LocalPort     => 8443,
    Listen        => 64,
    SSL_cert_file => "/etc/consul-provider/web.pem",
    SSL_key_file  => "/etc/consul-provider/web.key",
) or die "no server: $!, $SSL_ERROR";
$| = 1;
print "listening on port ", $server->sockport, "\n";
while (1) {
    my $client = $server->accept or next;
    while (defined(my $line = <$client>) ) {
        last if $line =~ /^\r?\n$/;
    }
    print $client "HTTP/1.0 200 OK\r\n\r\nhello from Perl\n";
    close $client;
}
