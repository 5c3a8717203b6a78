//! Network namespaces: each site of a test has an address and a link of its own.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdin, Command, Stdio};

/// A network of hosts that one bridge connects. Dropping it ends its processes and removes it.
pub(crate) struct Network {
    /// Holds the user namespace and the network namespace of the bridge.
    bridge: Holder,
    hosts: Vec<Holder>,
}

/// A process that keeps namespaces alive. It ends when its standard input does.
struct Holder {
    process: Child,
    _input: Option<ChildStdin>,
}

impl Holder {
    /// Starts a command that ends with `cat` in new namespaces, and waits until it runs.
    fn start(mut command: Command) -> Option<Self> {
        let mut process = command
            .args(["sh", "-c", "ip link set lo up && echo up && exec cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let mut line = String::new();
        let output = process.stdout.take()?;
        BufReader::new(output).read_line(&mut line).ok()?;
        let input = process.stdin.take();
        let holder = Self {
            process,
            _input: input,
        };
        (line == "up\n").then_some(holder)
    }

    fn id(&self) -> String {
        self.process.id().to_string()
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Network {
    /// A network with so many hosts, the addresses of which are 10.77.0.1 and so on. `None`, with a
    /// message, where the machine does not permit namespaces; in CI (`CI` is set) that is a failure.
    #[allow(
        clippy::print_stderr,
        reason = "a test that is skipped says so to its reader"
    )]
    pub(crate) fn new(hosts: u8) -> Option<Self> {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--net"]);
        let Some(bridge) = Holder::start(command) else {
            assert!(
                std::env::var_os("CI").is_none(),
                "this machine does not permit network namespaces, so that tests of peers would be skipped: \
                 install iproute2 and util-linux, and permit `unshare -rn` (on Ubuntu: sysctl \
                 kernel.apparmor_restrict_unprivileged_userns=0)"
            );
            eprintln!("skipped: this machine does not permit network namespaces (`unshare -rn`)");
            return None;
        };
        let mut network = Self {
            bridge,
            hosts: Vec::new(),
        };
        network.ip(&["link", "add", "br0", "type", "bridge"]);
        network.ip(&["link", "set", "br0", "up"]);
        for number in 1..=hosts {
            let mut command = network.inside(&network.bridge, &["--user"]);
            command.args(["unshare", "--net"]);
            let host = Holder::start(command).unwrap();
            let (port, id) = (format!("port{number}"), host.id());
            let peer = ["type", "veth", "peer", "name", "eth0", "netns", &id];
            network.ip(&[&["link", "add", &port][..], &peer].concat());
            network.ip(&["link", "set", &port, "master", "br0"]);
            network.ip(&["link", "set", &port, "up"]);
            network.hosts.push(host);
            let address = format!("{}/24", Self::address(number));
            for words in [
                &["address", "add", &address, "dev", "eth0"][..],
                &["link", "set", "eth0", "up"],
            ] {
                run(network.at(number, "ip").args(words));
            }
        }
        Some(network)
    }

    /// The address of a host.
    pub(crate) fn address(host: u8) -> String {
        format!("10.77.0.{host}")
    }

    /// A program on a host, as the same process.
    pub(crate) fn at(&self, host: u8, program: &str) -> Command {
        let host = &self.hosts[usize::from(host) - 1];
        let mut command = self.inside(host, &["--user", "--net"]);
        command.arg(program);
        command
    }

    /// Cuts the link of a host, or mends it. Connections are not told.
    pub(crate) fn link(&self, host: u8, is_up: bool) {
        let state = if is_up { "up" } else { "down" };
        self.ip(&["link", "set", &format!("port{host}"), state]);
    }

    /// Runs `ip` where the bridge is.
    fn ip(&self, words: &[&str]) {
        let mut command = self.inside(&self.bridge, &["--user", "--net"]);
        run(command.arg("ip").args(words));
    }

    fn inside(&self, holder: &Holder, namespaces: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--preserve-credentials", "--target", &holder.id()]);
        command.args(namespaces).arg("--");
        command
    }
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    let problem = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {problem}");
}
