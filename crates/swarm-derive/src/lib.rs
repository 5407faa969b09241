//! `#[derive(NetworkBehaviour)]`: a struct of behaviours is a behaviour.
//!
//! Use it as `peerage::swarm::NetworkBehaviour`, beside the trait of that name. `parse` reads the struct and says what is
//! wrong with it, `expand` writes the code.
//!
//! Left out on purpose: enums (an `Option<B>` field is a behaviour that may be absent) and tuple structs (a field's name
//! is the name of its event).
#![forbid(unsafe_code)]

mod expand;
mod parse;

use proc_macro::TokenStream;

/// Makes a struct with named fields, each a behaviour, a behaviour.
///
/// Events arrive as the generated `enum <Struct>Event` with a variant per field: `ping` becomes `Ping`.
///
/// | attribute | on | what it does |
/// |---|---|---|
/// | `#[behaviour(to_swarm = "Event")]` (or `out_event`) | the struct | no enum is generated; `Event` is `From` every field's event |
/// | `#[behaviour(ignore)]` (or `skip`) | a field | the field is no behaviour |
/// | `#[behaviour(crate = "path")]` | the struct | where the swarm crate is, if it is no dependency of the package |
/// | `#[behaviour(prelude = "path")]` | the struct | the same, as the path of its `derive_prelude` |
///
/// Commands are taken from the fields in their order; `admit` ends with the first refusal.
///
/// ```
/// use peerage_swarm::NetworkBehaviour;
///
/// #[derive(NetworkBehaviour)]
/// struct Node<Ping: NetworkBehaviour, Mdns: NetworkBehaviour> {
///     ping: Ping,
///     mdns: Option<Mdns>,
/// }
///
/// fn pinged<P: NetworkBehaviour, M: NetworkBehaviour>(event: NodeEvent<P, M>) -> Option<P::ToSwarm> {
///     match event {
///         NodeEvent::Ping(event) => Some(event),
///         NodeEvent::Mdns(_) => None,
///     }
/// }
/// ```
#[proc_macro_derive(NetworkBehaviour, attributes(behaviour))]
pub fn network_behaviour(input: TokenStream) -> TokenStream {
    let input = syn::parse_macro_input!(input as syn::DeriveInput);
    match parse::Behaviour::parse(input) {
        Ok(behaviour) => expand::expand(&behaviour).into(),
        Err(error) => error.into_compile_error().into(),
    }
}
