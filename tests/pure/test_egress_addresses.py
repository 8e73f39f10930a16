"""Which addresses and URLs are let out (S24, N-01): 200 ways in which people ask for what they should not reach, and those that are fine."""

from __future__ import annotations

import pytest

from relorch.lib.addresses import Allow, BadURL, address_allowed, parse_allow, parse_url

DENIED_ADDRESSES = """
0.0.0.0 0.0.0.1 0.1.2.3 0.255.255.255
10.0.0.0 10.0.0.1 10.255.255.255 10.96.0.1 10.43.0.10
100.64.0.0 100.64.0.1 100.100.100.200 100.127.255.255
127.0.0.0 127.0.0.1 127.0.0.53 127.0.1.1 127.1.2.3 127.255.255.255
168.63.129.16
169.254.0.0 169.254.0.1 169.254.169.253 169.254.169.254 169.254.170.2 169.254.170.23 169.254.255.255
172.16.0.0 172.16.0.1 172.17.0.1 172.20.10.1 172.31.255.255
192.0.0.0 192.0.0.1 192.0.0.8 192.0.0.170 192.0.0.192 192.0.0.255
192.0.2.0 192.0.2.1 192.0.2.255 192.31.196.1 192.52.193.1 192.88.99.0 192.88.99.1 192.175.48.1
192.168.0.0 192.168.0.1 192.168.1.1 192.168.49.2 192.168.255.255
198.18.0.0 198.18.0.1 198.19.255.255 198.51.100.0 198.51.100.1 198.51.100.255 203.0.113.0 203.0.113.1 203.0.113.255
224.0.0.0 224.0.0.1 224.0.0.251 232.1.1.1 239.255.255.250 239.255.255.255
240.0.0.0 240.0.0.1 250.1.2.3 255.255.255.254 255.255.255.255
:: ::1 ::2 ::ffff ::7f00:1 ::127.0.0.1 ::10.0.0.1 ::169.254.169.254 ::8.8.8.8
::ffff:0.0.0.0 ::ffff:127.0.0.1 ::ffff:7f00:1 ::ffff:10.0.0.1 ::ffff:169.254.169.254 ::ffff:192.168.1.1 ::ffff:8.8.8.8 ::ffff:0:127.0.0.1 ::ffff:0:8.8.8.8
64:ff9b::127.0.0.1 64:ff9b::7f00:1 64:ff9b::10.0.0.1 64:ff9b::a9fe:a9fe 64:ff9b::8.8.8.8 64:ff9b:1::1 64:ff9b:1::10.0.0.1 64:ff9b:1:ffff::1
100::1 100::ffff:ffff:ffff:ffff 100:0:0:1::1 200::1 400::1 800::1 1000::1 1fff::1
2001::1 2001:0:4136:e378:8000:63bf:3fff:fdd2 2001::7f00:1 2001:1::1 2001:2::1 2001:3::1 2001:4:112::1 2001:10::1 2001:1f::1 2001:20::1 2001:2f::1 2001:1ff::1
2001:db8::1 2001:db8:ffff::1 2001:db8:85a3::8a2e:370:7334
2002::1 2002:7f00:1::1 2002:7f00:0001:: 2002:a00:1::1 2002:a9fe:a9fe::1 2002:c0a8:101::1 2002:808:808::1
2620:4f:8000::1 3ffe::1 3ffe:ffff::1 3fff::1 3fff:fff::1
2a00:1450:4001::5efe:a00:1 2a00:1450:4001:0:0:5efe:7f00:1 2a00:1450:4001::200:5efe:a9fe:a9fe
4000::1 5f00::1 6000::1 8000::1 a000::1 c000::1 e000::1 f000::1 f800::1
fc00::1 fc00:: fd00::1 fd00:ec2::254 fd00:ec2::23 fd12:3456:789a::1 fdff:ffff::1 fe00::1
fe80::1 fe80:: fe80::a9fe:a9fe fe80::1%eth0 febf::1 fec0::1 feff::1
ff00::1 ff01::1 ff02::1 ff02::2 ff02::fb ff05::1:3 ff0e::1 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff
""".split()  # noqa: SIM905 - a table is read more easily

ALLOWED_ADDRESSES = """
1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.0 93.184.215.14 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.0 168.63.129.15 169.253.255.255 169.255.0.0
172.15.255.255 172.32.0.0 192.0.1.0 192.0.3.0 192.167.255.255 192.169.0.0 198.17.255.255 198.20.0.0 203.0.112.255 203.0.114.0 223.255.255.255
2001:200::1 2001:4860:4860::8888 2001:db7:ffff::1 2001:db9::1 2003::1 2400:cb00::1 2606:4700:4700::1111 2620:fe::fe 2a00:1450:4001:81b::200e 3ffd::1
""".split()  # noqa: SIM905 - a table is read more easily

NOT_ADDRESSES = [
    "",
    "localhost",
    "2130706433",
    "0x7f000001",
    "0177.0.0.1",
    "127.1",
    "127.0.0.1 ",
    " 127.0.0.1",
    "127.0.0.1\n",
    "[::1]",
    "::1::",
    "1.2.3.256",
    "1.2.3.4.5",
    "٣.1.1.1",
]

BAD_URLS = {
    "empty": "",
    "no scheme": "example.com",
    "scheme-relative": "//example.com/",
    "ftp": "ftp://example.com/",
    "file": "file:///etc/passwd",
    "gopher": "gopher://example.com:70/_x",
    "javascript": "javascript:alert(1)",
    "data": "data:text/plain,x",
    "dict": "dict://example.com:11211/",
    "ldap": "ldap://example.com/",
    "ws": "ws://example.com/",
    "unix": "http+unix://%2Fvar%2Frun%2Fdocker.sock/info",
    "jar": "jar:http://example.com!/",
    "no host": "http:///path",
    "no slashes": "http:example.com",
    "only a port": "http://:80/",
    "user": "http://user@example.com/",
    "user and password": "http://user:password@example.com/",
    "user that looks like a host": "http://example.com@127.0.0.1/",
    "empty user": "http://@example.com/",
    "backslash": "http://example.com\\@127.0.0.1/",
    "backslashes for slashes": "http:\\\\127.0.0.1\\",
    "decimal": "http://2130706433/",
    "hexadecimal": "http://0x7f000001/",
    "hexadecimal, capital": "http://0X7F000001/",
    "hexadecimal parts": "http://0x7f.0x0.0x0.0x1/",
    "octal": "http://0177.0.0.1/",
    "octal, long": "http://00000000177.0.0.1/",
    "octal whole": "http://017700000001/",
    "mixed": "http://0x7f.0.0.01/",
    "two parts": "http://127.1/",
    "three parts": "http://127.0.1/",
    "five parts": "http://127.0.0.0.1/",
    "leading zeros": "http://127.000.000.001/",
    "too large a part": "http://127.0.0.256/",
    "overflow": "http://4294967297/",
    "short hexadecimal": "http://0x7f.1/",
    "empty hexadecimal": "http://0x/",
    "a name that ends in a number": "http://example.1/",
    "full-width digits": "http://１２７.0.0.1/",
    "circled digits": "http://①②⑦.⓪.⓪.①/",
    "ideographic full stops": "http://127。0。0。1/",
    "superscripts": "http://¹²⁷.0.0.1/",
    "two dots at the end": "http://example.com../",
    "empty label": "http://example..com/",
    "leading dot": "http://.example.com/",
    "leading dash": "http://-example.com/",
    "only a dot": "http://./",
    "long label": f"http://{'a' * 64}.com/",
    "long name": f"http://{'a.' * 127}com/",
    "escape in the host": "http://%31%32%37.0.0.1/",
    "escaped dot": "http://127%2e0%2e0%2e1/",
    "zone": "http://[fe80::1%25eth0]/",
    "bare zone": "http://[fe80::1%eth0]/",
    "IPv6 without brackets": "http://::1/",
    "open bracket": "http://[::1/",
    "brackets around a name": "http://[localhost]/",
    "brackets around IPv4": "http://[127.0.0.1]/",
    "future IP": "http://[v1.fe80]/",
    "CR LF in the host": "http://example.com\r\nHost: x/",
    "LF in the path": "http://example.com/a\nb",
    "CR in the query": "http://example.com/?a\rb",
    "tab": "http://exam\tple.com/",
    "NUL": "http://example.com\0.evil.example/",
    "space": "http://exa mple.com/",
    "space in the path": "http://example.com/a b",
    "leading space": " http://example.com/",
    "no-break space": "http://example.com\u00a0/",
    "line separator": "http://example.com/\u2028",
    "zero-width space": "http://local\u200bhost/",
    "right-to-left mark": "http://example.com/\u202e",
    "port 0": "http://example.com:0/",
    "port too large": "http://example.com:65536/",
    "port negative": "http://example.com:-1/",
    "port as word": "http://example.com:http/",
    "port in other digits": "http://example.com:８０/",
    "SSH": "http://example.com:22/",
    "SMTP": "http://example.com:25/",
    "submission": "http://example.com:587/",
    "DNS": "http://example.com:53/",
    "Redis": "http://example.com:6379/",
    "memcached": "http://example.com:11211/",
    "X11": "http://example.com:6000/",
    "angle brackets": "http://<localhost>/",
    "comma": "http://example.com,127.0.0.1/",
    "star": "http://*/",
    "dollar": "http://$HOST/",
    "bad international name": "http://xn--a\u0300.com/",
    "too long": "http://example.com/" + "a" * 8_000,
}

GOOD_URLS = {
    "http://example.com": ("http", "example.com", 80, "/"),
    "HTTP://EXAMPLE.COM/A": ("http", "example.com", 80, "/A"),
    "https://example.com/a/b?c=d&e=%20": ("https", "example.com", 443, "/a/b?c=d&e=%20"),
    "https://example.com:8443/": ("https", "example.com", 8443, "/"),
    "https://example.com./": ("https", "example.com", 443, "/"),
    "http://service_name:8080/x#fragment": ("http", "service_name", 8080, "/x"),
    "https://bücher.example/": ("https", "xn--bcher-kva.example", 443, "/"),
    "https://xn--bcher-kva.example/": ("https", "xn--bcher-kva.example", 443, "/"),
    "http://8.8.8.8/": ("http", "8.8.8.8", 80, "/"),
    "http://[2606:4700:4700:0:0:0:0:1111]:81/": ("http", "2606:4700:4700::1111", 81, "/"),
    "http://1password.com/": ("http", "1password.com", 80, "/"),
    "http://example.com/a@b:c": ("http", "example.com", 80, "/a@b:c"),
    "http://a.b-c.d1/": ("http", "a.b-c.d1", 80, "/"),
    "http://example.com?x": ("http", "example.com", 80, "/?x"),
}


def test_the_table_is_as_large_as_promised() -> None:
    denied = {*DENIED_ADDRESSES}
    assert len(denied) == len(DENIED_ADDRESSES)
    assert len(denied) + len(BAD_URLS) >= 250
    assert len(ALLOWED_ADDRESSES) >= 20


@pytest.mark.parametrize("address", DENIED_ADDRESSES)
def test_denied(address: str) -> None:
    assert not address_allowed(address)
    assert not address_allowed(address, parse_allow("8.8.4.4, intranet.example, 2606:4700::/32"))


@pytest.mark.parametrize("address", ALLOWED_ADDRESSES)
def test_allowed(address: str) -> None:
    assert address_allowed(address)


@pytest.mark.parametrize("text", NOT_ADDRESSES)
def test_what_is_no_address_is_denied(text: str) -> None:
    assert not address_allowed(text, parse_allow("0.0.0.0/0, ::/0"))


@pytest.mark.parametrize("case", BAD_URLS)
def test_bad_urls(case: str) -> None:
    with pytest.raises(BadURL) as caught:
        parse_url(BAD_URLS[case])
    assert "password" not in str(caught.value)


@pytest.mark.parametrize("url", GOOD_URLS)
def test_good_urls(url: str) -> None:
    target = parse_url(url)
    assert (target.scheme, target.host, target.port, target.path) == GOOD_URLS[url]
    assert parse_url(target.text) == target


def test_messages_do_not_show_the_query() -> None:
    assert parse_url("https://example.com/hook?token=abc#x").shown == "https://example.com/hook?•••"
    assert parse_url("https://[2606:4700::1]:81/hook").shown == "https://[2606:4700::1]:81/hook"


def test_the_administrator_opens_hosts_addresses_and_networks() -> None:
    allow = parse_allow(" 10.1.0.0/16,127.0.0.1 ,, [::1] Intranet.Example. 192.168.1.7/24\nfd00::/8 ")
    assert allow.hosts == {"intranet.example"}
    assert address_allowed("10.1.2.3", allow)
    assert not address_allowed("10.2.0.1", allow)
    assert address_allowed("127.0.0.1", allow)
    assert not address_allowed("127.0.0.2", allow)
    assert address_allowed("::1", allow)
    assert address_allowed("192.168.1.9", allow)
    assert address_allowed("fd12::1", allow)
    assert not address_allowed("::ffff:10.1.2.3", allow), "an embedded address is not the one that was opened"
    assert parse_allow(("10.0.0.1", "a.example")) == parse_allow("10.0.0.1,a.example")
    assert parse_allow("") == parse_allow(()) == Allow()


@pytest.mark.parametrize("text", ["10.0.0.0/33", "http://a.example", "a.example:80", "*", "a b*c", "10.0.0", "user@a.example"])
def test_nonsense_in_the_setting_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="RELORCH_EGRESS_ALLOW"):
        parse_allow(text)
