//! Whom requests may go to.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// A list of hosts. What is not on it is refused.
///
/// ```text
/// loopback            this machine: 127.0.0.0/8, ::1
/// private             10/8, 172.16/12, 192.168/16, 100.64/10, fc00::/7
/// public              all other addresses of the Internet
/// example.com         a name, whatever its addresses; with a port: example.com:8443
/// *.example.com       every name below it
/// 10.1.2.3, 10.0.0.0/8, [fd00::1]:80
/// ```
///
/// Addresses at which clouds give out credentials (169.254.0.0/16 and their like), multicast and
/// 0.0.0.0 are in none of the words and behind no name: only their own address allows them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allow {
    rules: Vec<Rule>,
    everything: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    text: String,
    host: Host,
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Host {
    Class(Class),
    Name(String),
    Below(String),
    Net(IpAddr, u8),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Loopback,
    Private,
    Public,
    /// Never meant by accident.
    Special,
}

/// Addresses, outside of 169.254.0.0/16, at which clouds give out credentials.
const METADATA: [IpAddr; 3] = [
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
];

impl Allow {
    /// Every address there is. For servers that the configuration names itself.
    #[must_use]
    pub fn everything() -> Self {
        Self { rules: Vec::new(), everything: true }
    }

    /// Reads a list, its items separated by commas or blanks. An empty one allows nothing.
    ///
    /// # Errors
    /// The first item that is none.
    pub fn parse(text: &str) -> Result<Self, String> {
        let items = text.split([',', ' ', '\t']).filter(|item| !item.is_empty());
        let rules = items.map(|item| rule(item).ok_or_else(|| item.to_owned()));
        Ok(Self { rules: rules.collect::<Result<_, _>>()?, everything: false })
    }

    /// Whether a connection to `address`, found for `host`, may be made.
    pub(crate) fn permits(&self, host: &str, address: SocketAddr) -> bool {
        let ip = address.ip().to_canonical();
        let class = class(ip);
        self.everything
            || self.rules.iter().any(|rule| {
                let here = match &rule.host {
                    Host::Class(wanted) => *wanted == class,
                    Host::Name(name) => class != Class::Special && host.eq_ignore_ascii_case(name),
                    Host::Below(name) => class != Class::Special && below(host, name),
                    Host::Net(net, bits) => inside(ip, *net, *bits),
                };
                here && rule.port.is_none_or(|port| port == address.port())
            })
    }
}

impl fmt::Display for Allow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<&str> = self.rules.iter().map(|rule| rule.text.as_str()).collect();
        f.write_str(&texts.join(", "))
    }
}

fn below(host: &str, name: &str) -> bool {
    let host = host.to_ascii_lowercase();
    host.strip_suffix(name).is_some_and(|rest| rest.ends_with('.') && rest.len() > 1)
}

fn rule(item: &str) -> Option<Rule> {
    let made = |host, port| Some(Rule { text: item.to_owned(), host, port });
    let class = match item {
        "loopback" => Some(Class::Loopback),
        "private" => Some(Class::Private),
        "public" => Some(Class::Public),
        _ => None,
    };
    if let Some(class) = class {
        return made(Host::Class(class), None);
    }
    if let Some((net, bits)) = item.split_once('/') {
        let net: IpAddr = net.parse().ok()?;
        let most = if net.is_ipv4() { 32 } else { 128 };
        let bits = bits.parse().ok().filter(|bits| *bits <= most)?;
        return made(Host::Net(net, bits), None);
    }
    let one = |ip: IpAddr| match ip.to_canonical() {
        ip @ IpAddr::V4(_) => Host::Net(ip, 32),
        ip @ IpAddr::V6(_) => Host::Net(ip, 128),
    };
    if let Ok(ip) = item.parse::<IpAddr>() {
        return made(one(ip), None);
    }
    if let Ok(address) = item.parse::<SocketAddr>() {
        return made(one(address.ip()), Some(address.port()));
    }
    let (name, port) = match item.split_once(':') {
        Some((name, port)) => (name, Some(port.parse().ok()?)),
        None => (item, None),
    };
    let (name, all_below) = match name.strip_prefix("*.") {
        Some(name) => (name, true),
        None => (name, false),
    };
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if name.is_empty() || !name.bytes().all(fits) || name.starts_with('.') || name.contains("..") {
        return None;
    }
    let name = name.to_ascii_lowercase();
    made(if all_below { Host::Below(name) } else { Host::Name(name) }, port)
}

fn class(ip: IpAddr) -> Class {
    if METADATA.contains(&ip) {
        return Class::Special;
    }
    match ip {
        IpAddr::V4(ip) => class_4(ip),
        IpAddr::V6(ip) => class_6(ip),
    }
}

fn class_4(ip: Ipv4Addr) -> Class {
    let [a, b, ..] = ip.octets();
    if ip.is_loopback() {
        Class::Loopback
    } else if ip.is_private() || (a == 100 && (64..128).contains(&b)) {
        Class::Private
    } else if a == 0 || a >= 224 || ip.is_link_local() || ip.is_documentation() {
        Class::Special
    } else if (a == 192 && b == 0 && ip.octets()[2] == 0) || (a == 198 && (b & 0xfe) == 18) {
        // Protocol assignments and benchmarks.
        Class::Special
    } else {
        Class::Public
    }
}

fn class_6(ip: Ipv6Addr) -> Class {
    let [a, b, ..] = ip.segments();
    if ip.is_loopback() {
        Class::Loopback
    } else if (a & 0xfe00) == 0xfc00 {
        Class::Private
    } else if (a & 0xe000) == 0x2000 && a != 0x2002 && !(a == 0x2001 && (b < 0x200 || b == 0xdb8)) {
        Class::Public
    } else {
        // Also what wraps an IPv4 address: 64:ff9b::/96, 2002::/16, ::/96.
        Class::Special
    }
}

fn inside(ip: IpAddr, net: IpAddr, bits: u8) -> bool {
    match (ip, net) {
        (IpAddr::V4(ip), IpAddr::V4(net)) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
            (ip.to_bits() ^ net.to_bits()) & mask == 0
        }
        (IpAddr::V6(ip), IpAddr::V6(net)) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
            (ip.to_bits() ^ net.to_bits()) & mask == 0
        }
        _ => false,
    }
}
