//! Three hosts, a control host and a server, each in a network namespace, on one bridge. It uses
//! ip(8), unshare(1) and sshd(8), and knows no loads.
//!
//! ```text
//!   10.77.0.1 the bridge, and the server on it
//!       ├── control 10.77.0.9  starts everything
//!       ├── alpha  10.77.0.11   sshd, its own /var/tmp
//!       ├── beta   10.77.0.12   the same
//!       └── gamma  10.77.0.13   the same
//! ```
//!
//! Everything runs in its own process, mount and network namespace. Its first process waits for EOF
//! on its standard input: however the test ends, that process ends, and the kernel ends all others
//! with it, including mounts and networks.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use epollite_bench::case::Case;
use epollite_bench::servers::{Builder, select};

/// Where ranks run.
pub(crate) const HOSTS: [&str; 3] = ["alpha", "beta", "gamma"];

/// Shell script that builds the network inside the namespaces. `$1` is the test's folder.
///
/// /etc/ssh, /etc/hosts, /run and /usr/local/bin are mounted over: ssh finds the test's keys, names
/// resolve, sshd has its run directory, and the programs are on every PATH, without flags or files
/// outside.
const SETUP: &str = r#"
set -eu
cd "$1"
mount --make-rprivate /
mount -t tmpfs tmpfs /run && mkdir /run/sshd
mount -t tmpfs tmpfs /usr/local/bin
cp bin/* /usr/local/bin
mount --bind etc /etc/ssh
mount --bind hosts /etc/hosts
ip link set lo up
ip link add lane type bridge
ip address add 10.77.0.1/24 dev lane
ip link set lane up
host() {
    ip netns add "$1"
    ip link add "$1" type veth peer name eth0 netns "$1"
    ip link set "$1" master lane up
    ip -n "$1" link set lo up
    ip -n "$1" address add "$2/24" dev eth0
    ip -n "$1" link set eth0 up
}
host control 10.77.0.9
while read -r address name; do
    host "$name" "$address"
    ip netns exec "$name" unshare --uts sh -c "hostname $name; mount -t tmpfs tmpfs /var/tmp
        exec /usr/sbin/sshd -D -e -o PidFile=/run/$name.pid" 2> "$name.log" &
done < login
/usr/local/bin/epollite echo -q --tcp 10.77.0.1:7777 &
for _ in $(seq 100); do
    ready=yes
    for place in 10.77.0.11/22 10.77.0.12/22 10.77.0.13/22 10.77.0.1/7777; do
        timeout 1 bash -c ": < /dev/tcp/$place" 2> /dev/null || ready=no
    done
    [ $ready = no ] || break
    sleep 0.05
done
echo $ready
cat > /dev/null
"#;

const SSHD: &str = "\
HostKey /etc/ssh/host_key
AuthorizedKeysFile /etc/ssh/user_key.pub
PermitRootLogin prohibit-password
PasswordAuthentication no
StrictModes no
UsePAM no
MaxStartups 100
";

const SSH: &str = "\
Host *
    IdentityFile /etc/ssh/user_key
    IdentitiesOnly yes
    StrictHostKeyChecking accept-new
    UserKnownHostsFile /run/known_hosts
    BatchMode yes
    ConnectTimeout 3
    LogLevel ERROR
";

/// The network. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Network {
    keeper: Child,
    folder: tempfile::TempDir,
}

impl Network {
    /// Builds it.
    pub(crate) fn new() -> Self {
        assert!(
            nix::unistd::geteuid().is_root(),
            "this test makes network namespaces: run as root"
        );
        for tool in ["unshare", "nsenter", "ip", "parallel", "rsync", "mpirun", "ssh-keygen"] {
            let found = Command::new("which").arg(tool).stdout(Stdio::null()).status();
            assert!(found.is_ok_and(|found| found.success()), "{tool} is missing: make tools");
        }
        let folder = tempfile::tempdir().unwrap();
        prepare(folder.path());
        let log = fs::File::create(folder.path().join("setup.log")).unwrap();
        let mut keeper = Command::new("unshare")
            .args(["--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"])
            .args(["sh", "-c", SETUP, "sh"])
            .arg(folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(keeper.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let network = Self { keeper, folder };
        let log = || fs::read_to_string(network.folder.path().join("setup.log")).unwrap();
        assert_eq!(line.trim(), "yes", "no network of namespaces could be made here: {}", log());
        network
    }

    /// The folder in which [`Self::on_control`] works.
    pub(crate) fn control_dir(&self) -> PathBuf {
        self.folder.path().join("control")
    }

    /// Runs commands on the control host; returns their standard output, or on failure all output.
    pub(crate) fn on_control(&self, commands: &str) -> Result<String, String> {
        self.on("control", &format!("cd {}; set -eu\n{commands}", self.control_dir().display()))
    }

    /// Runs commands on a host.
    pub(crate) fn on(&self, host: &str, commands: &str) -> Result<String, String> {
        let keeper = self.keeper.id();
        // The first process of the namespaces is the only child of unshare(1).
        let first = fs::read_to_string(format!("/proc/{keeper}/task/{keeper}/children")).unwrap();
        let home = self.folder.path().join("home");
        let mut command = Command::new("nsenter");
        command.args(["--mount", "--net", "--pid", "--target", first.trim()]);
        if HOSTS.contains(&host) {
            // Also enters its mount namespace, which has its own /var/tmp.
            command.args([
                "sh",
                "-c",
                "exec nsenter --mount --net --target $(cat /run/$0.pid) \"$@\"",
            ]);
            command.arg(host);
        } else {
            command.args(["ip", "netns", "exec", host]);
        }
        command.args(["timeout", "60", "bash", "-c", commands]).env("HOME", home);
        for (name, _) in std::env::vars() {
            if ["EPL_", "OMPI_", "SLURM_", "JOB_"].iter().any(|start| name.starts_with(start)) {
                command.env_remove(name);
            }
        }
        let output = command.stdin(Stdio::null()).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        if output.status.success() { Ok(stdout) } else { Err(stdout + &stderr) }
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // Closing its input ends the shell, and with it all other processes.
        drop(self.keeper.stdin.take());
        drop(self.keeper.wait());
    }
}

/// Creates the keys, programs and host names that the script needs.
fn prepare(folder: &Path) {
    for name in ["bin", "etc", "control", "home"] {
        fs::create_dir(folder.join(name)).unwrap();
    }
    let mut builder = Builder::new(None).unwrap();
    let entry = &select(&["epoll-edge".to_owned()], &[]).unwrap()[0];
    let built = builder.build(entry).unwrap();
    let command = built.command(&Case::of_connections(1)).unwrap();
    let program = shlex::split(command).unwrap().remove(0);
    fs::copy(program, folder.join("bin/epollite")).unwrap();
    let bench = env!("CARGO_BIN_EXE_epollite-bench");
    fs::copy(bench, folder.join("bin/epollite-bench")).unwrap();
    for key in ["host_key", "user_key"] {
        let path = folder.join("etc").join(key);
        let mut command = Command::new("ssh-keygen");
        let made = command.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(path);
        assert!(made.status().unwrap().success(), "no key");
    }
    fs::write(folder.join("etc/sshd_config"), SSHD).unwrap();
    fs::write(folder.join("etc/ssh_config"), SSH).unwrap();
    let lines = (11..).zip(HOSTS).map(|(last, host)| format!("10.77.0.{last} {host}\n"));
    let login: String = lines.collect();
    fs::write(folder.join("login"), &login).unwrap();
    fs::write(folder.join("hosts"), format!("127.0.0.1 localhost\n10.77.0.9 control\n{login}"))
        .unwrap();
}
