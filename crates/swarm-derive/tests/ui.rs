//! What `#[derive(NetworkBehaviour)]` says to typical mistakes, and that it says nothing else.
#[test]
fn mistakes_are_explained_where_they_are() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/ui/*.rs");
    cases.pass("tests/ui/pass/*.rs");
}
