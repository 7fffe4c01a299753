# Called with a file that holds a secret: prints "saw PROGRAM" for every program that runs, and "SECRET" with the
# program where the arguments or the environment of a process have it, until it is ended; and "settled" when those that
# ran at the start are old.
use strict;
use warnings;

# A process is young for so many looks; it may yet execute something else.
use constant YOUNG => 50;
# Old ones are looked at each time that so many looks have passed.
use constant SELDOM => 100;

open my $pattern, '<', $ARGV[0] or die "$ARGV[0]: $!";
chomp(my $secret = <$pattern>);
my (%saw, %looks);
my ($ended, $look) = (0, 0);
$SIG{TERM} = sub { $ended = 1 };
$| = 1;
until ($ended) {
    print "settled\n" if ++$look == YOUNG + 2;
    opendir my $proc, '/proc' or die "/proc: $!";
    for my $pid (grep { /^\d+$/ } readdir $proc) {
        next if $looks{$pid}++ > YOUNG && $look % SELDOM;
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
    # What is watched needs the processor, too.
    select undef, undef, undef, 0.001;
}
