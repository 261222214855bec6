//! Whom the list allows.

use std::net::SocketAddr;

use crate::Allow;

fn permits(list: &str, host: &str, address: &str) -> bool {
    let address: SocketAddr = address.parse().unwrap();
    Allow::parse(list).unwrap().permits(host, address)
}

#[test]
fn words_mean_kinds_of_addresses() {
    for (address, word) in [
        ("127.0.0.1:80", "loopback"),
        ("127.9.9.9:80", "loopback"),
        ("[::1]:80", "loopback"),
        ("[::ffff:127.0.0.1]:80", "loopback"),
        ("10.0.0.1:80", "private"),
        ("172.16.0.1:80", "private"),
        ("192.168.1.1:80", "private"),
        ("100.64.0.1:80", "private"),
        ("[fd00::1]:80", "private"),
        ("[::ffff:10.0.0.1]:80", "private"),
        ("93.184.216.34:80", "public"),
        ("172.32.0.1:80", "public"),
        ("[2606:4700::1]:80", "public"),
        // Where clouds give out credentials, and what nobody means.
        ("169.254.169.254:80", "none"),
        ("[::ffff:169.254.169.254]:80", "none"),
        ("100.100.100.200:80", "none"),
        ("192.0.0.192:80", "none"),
        ("[fd00:ec2::254]:80", "none"),
        ("[fe80::1]:80", "none"),
        ("0.0.0.0:80", "none"),
        ("0.1.2.3:80", "none"),
        ("[::]:80", "none"),
        ("224.0.0.1:80", "none"),
        ("255.255.255.255:80", "none"),
        ("198.18.0.1:80", "none"),
        ("[64:ff9b::7f00:1]:80", "none"),
        ("[2002:7f00:1::]:80", "none"),
        ("[::7f00:1]:80", "none"),
        ("[ff02::1]:80", "none"),
        ("[2001:db8::1]:80", "none"),
    ] {
        for list in ["loopback", "private", "public"] {
            assert_eq!(permits(list, "host", address), list == word, "{list}: {address}");
        }
        assert!(!permits("", "host", address), "an empty list allows nothing");
        let ip = address.rsplit_once(':').unwrap().0.trim_matches(['[', ']']);
        assert!(permits(ip, "host", address), "its own address allows {address}");
    }
}

#[test]
fn names_nets_and_ports_are_told_apart() {
    for (list, host, address, is) in [
        ("example.com", "example.com", "10.0.0.1:80", true),
        ("example.com", "EXAMPLE.com", "10.0.0.1:80", true),
        ("Example.com", "example.com", "1.2.3.4:443", true),
        ("example.com", "a.example.com", "1.2.3.4:80", false),
        ("example.com", "example.com.evil.org", "1.2.3.4:80", false),
        ("*.example.com", "a.example.com", "1.2.3.4:80", true),
        ("*.example.com", "example.com", "1.2.3.4:80", false),
        ("*.example.com", "evilexample.com", "1.2.3.4:80", false),
        ("example.com:8443", "example.com", "1.2.3.4:8443", true),
        ("example.com:8443", "example.com", "1.2.3.4:80", false),
        // A name that somebody else points at credentials.
        ("example.com", "example.com", "169.254.169.254:80", false),
        ("*.example.com", "a.example.com", "[fd00:ec2::254]:80", false),
        ("10.0.0.0/8", "x", "10.9.9.9:80", true),
        ("10.0.0.0/8", "x", "11.0.0.1:80", false),
        ("0.0.0.0/0", "x", "169.254.169.254:80", true),
        ("fd00::/8", "x", "[fd12::1]:80", true),
        ("::/0", "x", "1.2.3.4:80", false),
        ("[::1]:8080", "x", "[::1]:8080", true),
        ("[::1]:8080", "x", "[::1]:80", false),
        ("127.0.0.1:80, loopback", "x", "127.0.0.2:1", true),
    ] {
        assert_eq!(permits(list, host, address), is, "{list}: {host} at {address}");
    }
}

#[test]
fn what_is_no_item_is_named() {
    for item in ["http://x", "10.0.0.0/33", "x:y", "*.", "a..b", "exa mple", ".com", "a/b", "*"] {
        let last = item.split(' ').next_back().unwrap();
        match Allow::parse(&format!("loopback,{item}")) {
            Err(named) => assert_eq!(named, last),
            Ok(list) => assert_eq!(item, "exa mple", "{list}"),
        }
    }
    assert_eq!(
        Allow::parse("loopback  public,a.b:1").unwrap().to_string(),
        "loopback, public, a.b:1"
    );
}
