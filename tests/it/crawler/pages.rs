//! The links that the example finds in a page.

use url::Url;

use super::links::{Links, MAX_LINKS, extract};

fn links(page: impl AsRef<[u8]>) -> Links {
    let url = Url::parse("http://host:81/dir/page?q#f").expect("a URL");
    let pause = || Ok::<(), ()>(());
    extract(page.as_ref(), &url, pause).expect("nothing fails")
}

#[track_caller]
fn assert_links(page: impl AsRef<[u8]>, expected: &[&str]) {
    let links = links(page);
    let found: Vec<&str> = links.urls.iter().map(Url::as_str).collect();
    assert_eq!(found, expected);
}

#[test]
fn references_are_resolved_and_lose_their_fragments() {
    let page = "<A HREF=x>1</A> <a href='../y?a=1&amp;b=%20#part'>2</a> <a href=\" /z \n\">3</a>
        <a href='#here'>4</a> <a href=''>5</a> <a href='http://user:pw@other/'>6</a>
        <a href='//host:81/dir/x'>1 again</a> <a href='HTTP://HOST:80/'>7</a>";
    let expected = [
        "http://host:81/dir/x",
        "http://host:81/y?a=1&b=%20",
        "http://host:81/z",
        "http://host:81/dir/page?q",
        "http://other/",
        "http://host/",
    ];
    assert_links(page, &expected);
}

#[test]
fn every_element_that_names_a_document_counts() {
    let page = "<link href=a><img src=b><script src=c></script><iframe src=d></iframe>\
        <area href=e><source src=f><p href=no src=no><a src=no><img href=no>\
        <link rel=preconnect href=no><link rel='x dns-prefetch' href=no>";
    let expected = ["a", "b", "c", "d", "e", "f"].map(|name| format!("http://host:81/dir/{name}"));
    assert_links(page, &expected.each_ref().map(String::as_str));
}

#[test]
fn what_only_looks_like_a_tag_is_none() {
    let page = "<!-- <a href=no> --> <script>'<a href=no>'</script> <style><a href=no></style>
        <title><a href=no></title> <textarea><a href=no></textarea> <p title='<a href=no>'>
        <xmp><a href=no></xmp> <a data-href=no> </a href=no> &lt;a href=no> <a href='yes'";
    assert_links(format!("{page}><plaintext><a href=no>"), &["http://host:81/dir/yes"]);
    // Cut short within the tag, it is none either.
    assert_links(page, &[]);
}

#[test]
fn the_first_base_counts_for_all_links() {
    let page = "<a href=x><base target=t><base href='/base/'><base href=/no/><a href=y>";
    assert_links(page, &["http://host:81/base/x", "http://host:81/base/y"]);
    assert_links("<base href='http://['><a href=x>", &["http://host:81/dir/x"]);
    assert_links("<base href='data:,x'><a href=x>", &["http://host:81/dir/x"]);
}

#[test]
fn what_is_no_web_address_is_left_out() {
    let page = "<a href='mailto:a@b'><a href='javascript:x'><a href='data:,x'><a href='http://['>\
        <a href='ftp://host/'><a href='https://host/'><a>";
    assert_links(page, &["https://host/"]);
}

#[test]
fn bytes_that_are_no_utf8_do_no_harm() {
    assert_links(b"\xef\xbb\xbf\xff\xfe<a href=\xffx>\x00", &["http://host:81/dir/%EF%BF%BDx"]);
    assert_links(b"", &[]);
}

#[test]
fn a_page_may_not_hold_links_without_end() {
    let many: String = (0..MAX_LINKS + 5).map(|n| format!("<a href={n}>")).collect();
    let found = links(many.clone() + &many);
    assert_eq!(found.urls.len(), MAX_LINKS);
    assert_eq!(found.ignored, 10);
    let long = links(format!("<a href={}>", "x".repeat(100_000)));
    assert_eq!((long.urls.len(), long.ignored), (0, 1));
}

#[test]
fn parsing_pauses_and_can_be_ended_there() {
    let page = "\u{20ac}".repeat(100_000);
    let url = Url::parse("http://host/").expect("a URL");
    let mut pauses = 0;
    let mut third = || {
        pauses += 1;
        if pauses == 3 { Err("enough") } else { Ok(()) }
    };
    assert_eq!(extract(page.as_bytes(), &url, &mut third).map(drop), Err("enough"));
}
