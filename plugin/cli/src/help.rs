//! What stands below the options in `--help`: what a line for each option has no room for, and examples.
//!
//! `-h` and `--help` print the same, and the manual pages are made of it too: the paragraphs that begin with `Exit status:`
//! (a number and what it means, `;` between two) and with `Examples:` are their sections of these names, others go into the
//! description. Lines are broken by hand at 100 columns, since what breaks them at a terminal's width is not linked in; the
//! tests see to that, and that every command shown is one that is understood.

pub(crate) const TOP: &str = "\
Examples:
  nmstate-ipsec check ipsec-config.yaml     # what is wrong with it; needs no host
  nmstate-ipsec apply ipsec-config.yaml     # this host as declared, or else as it was
  nmstate-ipsec status --watch              # what connections are doing
  nmstate-ipsec cert import left_server.p12 --ca ca.pem

More: nmstate-ipsec COMMAND --help, nmstate-ipsec(1); keys of connections: nm-settings-libreswan(5)";

pub(crate) const APPLY: &str = "\
A policy is for the hosts that have all labels of its nodeSelector; others leave it alone.

Exit status: 0 all is as declared, or tried further where a peer does not answer; 1 it failed, and
all is as it was; 2 what was given is at fault, and nothing was touched

Examples:
  nmstate-ipsec apply ipsec-config.yaml
  nmstate-ipsec apply --require-established --wait 30 ipsec-config.yaml
  nmstate-ipsec apply --node-labels role=worker,zone=a --dry-run policies.yaml
  nmstate-ipsec apply --no-commit --timeout 300 ipsec-config.yaml    # then: nmstate-ipsec commit";

pub(crate) const DIFF: &str = "\
It is what 'apply --dry-run' shows. Secrets are compared and not shown.

Exit status: 0 it was compared, and differs or not; 1 it could not be; 2 what was given is at fault

Examples:
  nmstate-ipsec diff ipsec-config.yaml
  nmstate-ipsec diff --json ipsec-config.yaml";

pub(crate) const IMPORT: &str = "\
What a document has no place for is told on standard error, with file and line.

Examples:
  nmstate-ipsec import /etc/ipsec.d/office.conf > office.yaml
  nmstate-ipsec import --policy --name office --conn office /etc/ipsec.conf
  nmstate-ipsec import --profile --local right office.conf > office.nmconnection";

pub(crate) const EXPORT: &str = "\
No secret is written. What of a document has no place in ipsec.conf is told on standard error.

Examples:
  nmstate-ipsec export hosta_conn > hosta.conf
  nmstate-ipsec export ipsec-config.yaml hosta_conn";

pub(crate) const CHECK: &str = "\
Each finding is a line: file, line, column, severity, code and text.

Exit status: 0 nothing was found, or nothing worse than an info; 1 the worst is a warning; 2 the
worst is an error

Examples:
  nmstate-ipsec check ipsec-config.yaml /etc/ipsec.d/office.conf
  nmstate-ipsec check --certs certs --pod-network 10.128.0.0/14 policies.yaml
  nmstate-ipsec check --json policies.yaml";

pub(crate) const SHOW: &str = "\
Examples:
  nmstate-ipsec show
  nmstate-ipsec show hosta_conn
  nmstate-ipsec show --running-config --json";

pub(crate) const STATUS: &str = "\
Examples:
  nmstate-ipsec status
  nmstate-ipsec status hosta_conn --json
  nmstate-ipsec status --watch";

pub(crate) const UP: &str = "\
Exit status: 0 all are up, or tried further where a peer does not answer; 1 one failed, and all are
as they were; 2 what was given is at fault

Examples:
  nmstate-ipsec up hosta_conn
  nmstate-ipsec up --wait 30 hosta_conn office";

pub(crate) const DOWN: &str = "\
Their profiles stay, and say autoconnect=no until 'up' or a document says otherwise.

Examples:
  nmstate-ipsec down hosta_conn
  nmstate-ipsec down --json hosta_conn office";

pub(crate) const WAIT_ONLINE: &str = "\
Those that only a person can help are not waited for.

Exit status: 0 all are up; 1 some are not, or it is not known; 2 what was given is at fault

Examples:
  nmstate-ipsec wait-online
  nmstate-ipsec wait-online --timeout 300";

pub(crate) const GUARD: &str = "\
A guard stays when the connection is lost or taken down, and at boot it is there before the network.
Programs see what it holds back as an error at once (Operation not permitted).

Examples:
  nmstate-ipsec guard hosta_conn on
  nmstate-ipsec guard hosta_conn --json
  nmstate-ipsec guard hosta_conn off";

pub(crate) const CERT: &str = "\
nmstate-ipsecd works on libreswan's database, for root alone; with --nssdir the command does it.

Examples:
  nmstate-ipsec cert import left_server.p12 --ca ca.pem
  nmstate-ipsec cert list
  nmstate-ipsec cert verify left_server";

pub(crate) const CERT_IMPORT: &str = "\
The password of a bundle is in --password-file ('-' is standard input), or in NICKNAME_password in
/run/secrets or beside the bundle; else it is empty. Of several bundles a bad one does not keep the
others out.

Exit status: 0 all are there; 1 an import failed; 2 what was given is at fault

Examples:
  nmstate-ipsec cert import left_server.p12 --ca ca.pem
  nmstate-ipsec cert import --dry-run --password-file password left_server.p12
  nmstate-ipsec cert import host.pem --key host.key --ca ca.pem --nickname left_server";

pub(crate) const CERT_LIST: &str = "\
Examples:
  nmstate-ipsec cert list
  nmstate-ipsec cert list --json";

pub(crate) const CERT_REMOVE: &str = "\
Examples:
  nmstate-ipsec cert remove left_server
  nmstate-ipsec cert remove --with-ca --dry-run left_server";

pub(crate) const CERT_VERIFY: &str = "\
Exit status: 0 all are of use; 1 one is of no use, or it is not known; 2 what was given is at fault

Examples:
  nmstate-ipsec cert verify
  nmstate-ipsec cert verify left_server --json";

pub(crate) const CERT_EXPORT: &str = "\
Examples:
  nmstate-ipsec cert export left_server -o left_server.p12 --password-file -
  nmstate-ipsec cert export left_server -o left_server.p12 --password-file password";

pub(crate) const CERT_BUNDLE: &str = "\
The file's name without its ending becomes the nickname of the certificate that is imported from it.

Examples:
  nmstate-ipsec cert bundle --cert host.pem --key host.key --ca ca.pem -o left_server.p12";

pub(crate) const RENDER: &str = "\
Examples:
  nmstate-ipsec render machine-config --role worker --bundle left_server.p12 --ca ca.pem";

pub(crate) const RENDER_MACHINE_CONFIG: &str = "\
The bundles are judged first, and their passwords found, as 'cert import' does; nothing is written
if one is of no use. Behind the MachineConfig stands the node disruption policy that saves the nodes
the reboot. It is a part of the cluster's one MachineConfiguration: --server-side adds it to what
others have there, and a field manager for each MachineConfig keeps them apart. With --script the
name is 99-POOL-import-certs, unless --name gives one. The output holds the private keys.

Examples:
  nmstate-ipsec render machine-config --role worker --bundle left_server.p12 --ca ca.pem |
    oc apply --server-side --field-manager 99-worker-ipsec-certificates -f -
  nmstate-ipsec render machine-config --role master --bundle a.p12 --bundle b.p12 -o certs.yaml";

pub(crate) const COMMIT: &str = "\
Examples:
  nmstate-ipsec apply --no-commit --timeout 300 ipsec-config.yaml
  nmstate-ipsec commit";

pub(crate) const ROLLBACK: &str = "\
Examples:
  nmstate-ipsec apply --no-commit --timeout 300 ipsec-config.yaml
  nmstate-ipsec rollback";
