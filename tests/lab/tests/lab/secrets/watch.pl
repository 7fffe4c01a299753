# Called with a file that holds a secret: prints "saw PROGRAM" for every program that runs, and "SECRET" with the
# program where the arguments or the environment of a process have it, until it is ended.
use strict;
use warnings;

open my $pattern, '<', $ARGV[0] or die "$ARGV[0]: $!";
chomp(my $secret = <$pattern>);
my %saw;
my $ended = 0;
$SIG{TERM} = sub { $ended = 1 };
$| = 1;
until ($ended) {
    opendir my $proc, '/proc' or die "/proc: $!";
    for my $pid (grep { /^\d+$/ } readdir $proc) {
        my %content;
        for my $file (qw(cmdline environ)) {
            open my $handle, '<', "/proc/$pid/$file" or next;
            local $/;
            $content{$file} = <$handle> // '';
            print "SECRET in $file of $pid: ", join(' ', split /\0/, $content{cmdline} // ''), "\n"
                if index($content{$file}, $secret) >= 0;
        }
        next unless length($content{cmdline} // '');
        my ($program) = $content{cmdline} =~ m{^(?:[^\0]*/)?([^\0/]+)};
        print "saw $program\n" if defined $program && !$saw{$program}++;
    }
}
