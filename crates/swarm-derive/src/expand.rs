//! The code: an enum of events, an enum of messages that nobody can name, and the impl that passes everything on.
//!
//! Every generated item is bounded by `FieldType: NetworkBehaviour`, at the field's type. For a type that is none, rustc then
//! reports the bound, once and there, and takes it as given inside.
use crate::parse::{Behaviour, Field};
use proc_macro2::{Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::{GenericParam, Generics, spanned::Spanned};

pub(crate) fn expand(behaviour: &Behaviour) -> TokenStream {
    let generics = enum_generics(behaviour);
    let event = behaviour.to_swarm.is_none().then(|| event(behaviour, &generics));
    let event_debug = behaviour.to_swarm.is_none().then(|| event_debug(behaviour, &generics));
    let message = message(behaviour, &generics);
    let network_behaviour = network_behaviour(behaviour, &generics);
    quote! {
        #event

        #[doc(hidden)]
        #[allow(trivial_bounds, private_bounds, private_interfaces, unreachable_pub)]
        // Of messages that cannot exist.
        #[allow(unreachable_code, unreachable_patterns)]
        const _: () = {
            #event_debug
            #message
            #network_behaviour
        };
    }
}

/// `pub enum NodeEvent { Ping(<ping::Behaviour as NetworkBehaviour>::ToSwarm) }`
fn event(behaviour: &Behaviour, generics: &Generics) -> TokenStream {
    let Behaviour { vis, ident, fields, .. } = behaviour;
    let name = event_name(behaviour);
    let params = &generics.params;
    let params = (!params.is_empty()).then(|| quote!(<#params>));
    let where_clause = &generics.where_clause;
    let doc = format!("What a field of [`{ident}`] tells the application.");
    let variants = fields.iter().map(|field| {
        let doc = format!("An event of `{}`.", field.ident);
        let (variant, to_swarm) = (&field.variant, associated(behaviour, field, "ToSwarm"));
        quote!(#[doc = #doc] #variant(#to_swarm))
    });
    quote! {
        #[doc = #doc]
        #[allow(trivial_bounds, private_bounds, private_interfaces)]
        #vis enum #name #params #where_clause { #(#variants,)* }
    }
}

/// As derived, but bounded by the events: std's derive would ask for `Debug` of the behaviours.
fn event_debug(behaviour: &Behaviour, generics: &Generics) -> TokenStream {
    let name = event_name(behaviour);
    let mut generics = generics.clone();
    for field in &behaviour.fields {
        let to_swarm = associated(behaviour, field, "ToSwarm");
        let debug = Ident::new("Debug", end(field));
        bound(&mut generics, quote_spanned!(start(field)=> #to_swarm: ::core::fmt::#debug));
    }
    let (impl_generics, ty_generics, where_clause) = generics.split_for_impl();
    let arms = behaviour.fields.iter().map(|Field { variant, .. }| {
        let name = variant.to_string();
        quote!(Self::#variant(event) => f.debug_tuple(#name).field(event).finish())
    });
    quote! {
        impl #impl_generics ::core::fmt::Debug for #name #ty_generics #where_clause {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                match self { #(#arms,)* }
            }
        }
    }
}

/// `pub` in a block without a name: a private type could not be a public struct's `Message` (E0446).
fn message(behaviour: &Behaviour, generics: &Generics) -> TokenStream {
    let prelude = &behaviour.prelude;
    let (impl_generics, ty_generics, where_clause) = generics.split_for_impl();
    let variants = behaviour.fields.iter().map(|field| {
        let (variant, message) = (&field.variant, associated(behaviour, field, "Message"));
        quote!(#variant(#message))
    });
    let views = behaviour.fields.iter().map(|field| {
        let Field { ident, variant, .. } = field;
        let message = associated(behaviour, field, "Message");
        quote! {
            fn #ident() -> #prelude::Variant<#message, Self> {
                #prelude::Variant {
                    wrap: Self::#variant,
                    unwrap: |message| match message {
                        Self::#variant(message) => ::core::option::Option::Some(message),
                        _ => ::core::option::Option::None,
                    },
                    peek: |message| match message {
                        Self::#variant(message) => ::core::option::Option::Some(message),
                        _ => ::core::option::Option::None,
                    },
                }
            }
        }
    });
    quote! {
        pub enum __Message #impl_generics #where_clause { #(#variants,)* }
        impl #impl_generics __Message #ty_generics #where_clause { #(#views)* }
    }
}

fn network_behaviour(behaviour: &Behaviour, enum_generics: &Generics) -> TokenStream {
    let Behaviour { ident, prelude, to_swarm, fields, .. } = behaviour;
    let mut generics = behaviour.generics.clone();
    for field in fields {
        let network_behaviour = trait_path(behaviour, field);
        let ty = &field.ty;
        bound(&mut generics, quote_spanned!(start(field)=> #ty: #network_behaviour));
        if let Some(to_swarm) = to_swarm {
            let event = associated(behaviour, field, "ToSwarm");
            let end = quote_spanned!(end(field)=> >);
            bound(&mut generics, quote_spanned!(start(field)=> #to_swarm: ::core::convert::From<#event #end));
        }
    }
    let (impl_generics, self_generics, where_clause) = generics.split_for_impl();
    let (_, ty_generics, _) = enum_generics.split_for_impl();
    let message = quote!(__Message #ty_generics);
    let event = to_swarm.as_ref().map_or_else(
        || {
            let name = event_name(behaviour);
            quote!(#name #ty_generics)
        },
        ToTokens::to_token_stream,
    );
    let body = methods(behaviour, &message, &event);
    quote! {
        #[automatically_derived]
        impl #impl_generics #prelude::NetworkBehaviour for #ident #self_generics #where_clause {
            type Message = #message;
            type ToSwarm = #event;
            #body
        }
    }
}

fn methods(behaviour: &Behaviour, message: &TokenStream, event: &TokenStream) -> TokenStream {
    let prelude = &behaviour.prelude;
    let nb = quote!(#prelude::NetworkBehaviour);
    let option = quote!(::core::option::Option);
    let index: Vec<_> = behaviour.fields.iter().map(|field| field.index).collect();
    let field: Vec<_> = behaviour.fields.iter().map(|field| &field.ident).collect();
    let to_event = behaviour.fields.iter().map(|field| match behaviour.to_swarm {
        Some(_) => {
            let of_field = associated(behaviour, field, "ToSwarm");
            quote!(<#event as ::core::convert::From<#of_field>>::from)
        }
        None => {
            let variant = &field.variant;
            quote!(<#event>::#variant)
        }
    });
    quote! {
        fn protocols(&self) -> ::std::vec::Vec<#prelude::Protocol<#message>> {
            let mut all = ::std::vec::Vec::new();
            #(for protocol in #nb::protocols(&self.#field) {
                all.push(protocol.embed(#index, <#message>::#field()));
            })*
            all
        }
        fn next_command(&mut self) -> #option<#prelude::Command<#message, #event>> {
            #(if let #option::Some(command) = #nb::next_command(&mut self.#field) {
                return #option::Some(command.embed(#index, <#message>::#field(), #to_event));
            })*
            #option::None
        }
        fn on_swarm_event(&mut self, event: &#prelude::FromSwarm<'_>, now: #prelude::Instant) {
            #(#nb::on_swarm_event(&mut self.#field, &event.enter(#index), now);)*
        }
        fn on_stream_event(
            &mut self,
            on: &#prelude::StreamRef<'_>,
            event: #prelude::StreamEvent<#message>,
            now: #prelude::Instant,
        ) {
            let (field, on) = on.enter();
            match field {
                #(#index => if let #option::Some(event) = event.narrow(<#message>::#field().unwrap) {
                    #nb::on_stream_event(&mut self.#field, &on, event, now);
                },)*
                _ => {}
            }
        }
        fn on_source(
            &mut self,
            source: #prelude::SourceId,
            event: #prelude::SourceEvent<#message>,
            now: #prelude::Instant,
        ) {
            let (field, source) = source.enter();
            match field {
                #(#index => if let #option::Some(event) = event.narrow(<#message>::#field().unwrap) {
                    #nb::on_source(&mut self.#field, source, event, now);
                },)*
                _ => {}
            }
        }
        fn on_job(&mut self, job: #prelude::JobId, result: #option<#message>, now: #prelude::Instant) {
            let (field, job) = job.enter();
            match field {
                #(#index => {
                    let result = result.and_then(<#message>::#field().unwrap);
                    #nb::on_job(&mut self.#field, job, result, now);
                })*
                _ => {}
            }
        }
        fn next_timeout(&self) -> #option<#prelude::Instant> {
            let all = [#(#nb::next_timeout(&self.#field)),*];
            ::core::iter::Iterator::min(::core::iter::Iterator::flatten(::core::iter::IntoIterator::into_iter(all)))
        }
        fn on_timeout(&mut self, now: #prelude::Instant) {
            #(#nb::on_timeout(&mut self.#field, now);)*
        }
        fn admit(
            &mut self,
            connection: &#prelude::ConnectionInfo<'_>,
            now: #prelude::Instant,
        ) -> ::core::result::Result<(), #prelude::ConnectionDenied> {
            #(#nb::admit(&mut self.#field, connection, now)?;)*
            ::core::result::Result::Ok(())
        }
        fn addresses_of(
            &self,
            peer: &#prelude::PeerId,
            now: #prelude::Instant,
        ) -> ::std::vec::Vec<#prelude::Multiaddr> {
            let mut all = ::std::vec::Vec::new();
            #(all.append(&mut #nb::addresses_of(&self.#field, peer, now));)*
            all
        }
        fn dials(&self, address: &#prelude::Multiaddr) -> bool {
            #(#nb::dials(&self.#field, address))||*
        }
        fn field_name(&self, route: #prelude::Route) -> ::std::string::String {
            let (field, inner) = route.pop();
            let (name, inner) = match field {
                #(#index => (stringify!(#field), #nb::field_name(&self.#field, inner)),)*
                _ => return ::std::string::String::new(),
            };
            if inner.is_empty() { ::std::string::String::from(name) } else { ::std::format!("{name}.{inner}") }
        }
    }
}

fn event_name(behaviour: &Behaviour) -> Ident {
    format_ident!("{}Event", behaviour.ident)
}

/// The parameters that the fields' types mention, for an enum must use all it has (E0392), and the bounds on those alone.
fn enum_generics(behaviour: &Behaviour) -> Generics {
    let mut generics = behaviour.generics.clone();
    let is_used = |ident: &Ident| {
        behaviour.fields.iter().any(|field| mentions(field.ty.to_token_stream(), std::slice::from_ref(ident)))
    };
    // `Self` in a bound is the struct.
    let mut dropped = vec![format_ident!("Self")];
    dropped.extend(behaviour.generics.params.iter().filter_map(ident_of).filter(|i| !is_used(i)).cloned());
    let keep_defaults = dropped.len() == 1;
    generics.params =
        generics.params.into_iter().filter(|p| ident_of(p).is_none_or(|i| !dropped.contains(i))).collect();
    for param in &mut generics.params {
        match param {
            GenericParam::Type(param) => {
                let bounds = std::mem::take(&mut param.bounds).into_iter();
                param.bounds = bounds.filter(|b| !mentions(b.to_token_stream(), &dropped)).collect();
                param.default = param.default.take().filter(|_| keep_defaults);
            }
            GenericParam::Const(param) => param.default = param.default.take().filter(|_| keep_defaults),
            GenericParam::Lifetime(_) => {}
        }
    }
    if let Some(clause) = &mut generics.where_clause {
        let predicates = std::mem::take(&mut clause.predicates).into_iter();
        clause.predicates = predicates.filter(|p| !mentions(p.to_token_stream(), &dropped)).collect();
    }
    for field in &behaviour.fields {
        let (ty, network_behaviour) = (&field.ty, trait_path(behaviour, field));
        bound(&mut generics, quote_spanned!(start(field)=> #ty: #network_behaviour));
    }
    generics
}

fn ident_of(param: &GenericParam) -> Option<&Ident> {
    match param {
        GenericParam::Type(param) => Some(&param.ident),
        GenericParam::Const(param) => Some(&param.ident),
        GenericParam::Lifetime(_) => None,
    }
}

/// Whether one of these stands there as a name of its own: `B`, but not the `B` of `module::B`.
fn mentions(tokens: TokenStream, names: &[Ident]) -> bool {
    let mut colons = 0;
    tokens.into_iter().any(|token| {
        let in_path = colons >= 2;
        colons = if matches!(&token, TokenTree::Punct(p) if p.as_char() == ':') { colons + 1 } else { 0 };
        match token {
            TokenTree::Ident(ident) => !in_path && names.contains(&ident),
            TokenTree::Group(group) => mentions(group.stream(), names),
            _ => false,
        }
    })
}

fn bound(generics: &mut Generics, predicate: TokenStream) {
    // Written by us from a type and a path: it parses.
    if let Ok(predicate) = syn::parse2(predicate) {
        generics.make_where_clause().predicates.push(predicate);
    }
}

/// `<FieldType as NetworkBehaviour>::Message`
fn associated(behaviour: &Behaviour, field: &Field, name: &str) -> TokenStream {
    let (ty, network_behaviour) = (&field.ty, trait_path(behaviour, field));
    let name = Ident::new(name, start(field));
    quote_spanned!(start(field)=> <#ty as #network_behaviour>::#name)
}

/// From the start of the field's type to its end, for that is where errors about the bound shall point.
fn trait_path(behaviour: &Behaviour, field: &Field) -> TokenStream {
    let prelude = behaviour.prelude.clone().into_iter().map(|mut token| {
        token.set_span(start(field));
        token
    });
    let prelude: TokenStream = prelude.collect();
    let name = Ident::new("NetworkBehaviour", end(field));
    quote_spanned!(start(field)=> #prelude::#name)
}

fn start(field: &Field) -> Span {
    field.ty.span()
}

/// `Spanned` knows a type by its first token alone, short of nightly.
fn end(field: &Field) -> Span {
    field.ty.to_token_stream().into_iter().last().map_or_else(|| start(field), |last| last.span())
}
