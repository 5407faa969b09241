//! The struct as written, checked: what can be wrong with it is said here, at the place where it is.
use proc_macro_crate::{FoundCrate, crate_name};
use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote};
use std::collections::BTreeMap;
use syn::{
    Attribute, Data, DeriveInput, Error, Fields, Generics, LitStr, Path, Result, Type, Visibility,
    meta::ParseNestedMeta, parse::Parse,
};

/// A struct of which a behaviour can be made.
pub(crate) struct Behaviour {
    pub(crate) vis: Visibility,
    pub(crate) ident: Ident,
    pub(crate) generics: Generics,
    /// The module whose names the generated code uses.
    pub(crate) prelude: TokenStream,
    /// The event type, if it is not to be generated.
    pub(crate) to_swarm: Option<Type>,
    /// Without those that are ignored; at least one.
    pub(crate) fields: Vec<Field>,
}

/// A field that is a behaviour.
pub(crate) struct Field {
    /// What routes call it.
    pub(crate) index: u8,
    pub(crate) ident: Ident,
    pub(crate) ty: Type,
    /// Its variant in the enums of events and of messages.
    pub(crate) variant: Ident,
}

impl Behaviour {
    pub(crate) fn parse(input: DeriveInput) -> Result<Self> {
        let written = named_fields(input.data, &input.ident)?;
        let mut errors = Errors::default();
        for lifetime in input.generics.lifetimes() {
            let name = &input.ident;
            let why =
                format!("a behaviour outlives every borrow, so `{name}` cannot have a lifetime parameter");
            errors.push(Error::new_spanned(&lifetime.lifetime, why));
        }
        let options = errors.take(Options::parse(&input.attrs));
        let mut fields: Vec<Field> = Vec::new();
        let mut variants = BTreeMap::new();
        for field in written {
            let Some(ident) = field.ident else { continue };
            if errors.take(is_ignored(&field.attrs)).unwrap_or(true) {
                continue;
            }
            let Some(variant) = errors.take(variant(&ident)) else { continue };
            if let Some(other) = variants.insert(variant.to_string(), ident.clone()) {
                let why =
                    format!("`{other}` and `{ident}` would both be the variant `{variant}`: rename one");
                errors.push(Error::new_spanned(&ident, why));
            }
            // A route has a byte per level, and zero is its end.
            match u8::try_from(fields.len()) {
                Ok(index) if index < u8::MAX => fields.push(Field { index, ident, ty: field.ty, variant }),
                _ => {
                    let why = "a struct has at most 255 behaviours: move some into a struct of their own";
                    errors.push(Error::new_spanned(&ident, why));
                    break;
                }
            }
        }
        if fields.is_empty() && errors.0.is_none() {
            let why = "every field is ignored, but at least one has to be a behaviour";
            errors.push(Error::new_spanned(&input.ident, why));
        }
        let Some(options) = options else { return Err(errors.into_error()) };
        let prelude = errors.take(options.prelude());
        match (errors.0, prelude) {
            (None, Some(prelude)) => Ok(Self {
                vis: input.vis,
                ident: input.ident,
                generics: input.generics,
                prelude,
                to_swarm: options.to_swarm,
                fields,
            }),
            (error, _) => Err(Errors(error).into_error()),
        }
    }
}

fn named_fields(data: Data, name: &Ident) -> Result<impl Iterator<Item = syn::Field> + use<>> {
    let (span, why) = match data {
        Data::Struct(data) => match data.fields {
            Fields::Named(fields) if !fields.named.is_empty() => return Ok(fields.named.into_iter()),
            Fields::Unnamed(fields) if !fields.unnamed.is_empty() => {
                let why = format!("the fields need names: each names a variant of `{name}Event`");
                return Err(Error::new_spanned(fields, why));
            }
            _ => (name.span(), format!("`{name}` has no field that is a behaviour")),
        },
        Data::Enum(data) => (
            data.enum_token.span,
            "an enum cannot be a behaviour: use a struct with an `Option` field per choice".to_owned(),
        ),
        Data::Union(data) => {
            (data.union_token.span, "a union cannot be a behaviour: use a struct".to_owned())
        }
    };
    Err(Error::new(span, why))
}

/// `ping` is `Ping`, `request_response` is `RequestResponse`.
fn variant(field: &Ident) -> Result<Ident> {
    let name = field.to_string();
    let camel: String = name.trim_start_matches("r#").split('_').map(capitalised).collect();
    let parsed = syn::parse_str::<Ident>(&camel);
    let mut variant = parsed.map_err(|_| {
        let why =
            format!("the variant of `{field}` would be `{camel}`, which is not a name: rename the field");
        Error::new_spanned(field, why)
    })?;
    variant.set_span(field.span());
    Ok(variant)
}

fn capitalised(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().into_iter().flat_map(char::to_uppercase).chain(chars).collect()
}

/// What `#[behaviour(..)]` says on the struct.
#[derive(Default)]
struct Options {
    to_swarm: Option<Type>,
    prelude: Option<Path>,
    krate: Option<Path>,
}

impl Options {
    fn parse(attrs: &[Attribute]) -> Result<Self> {
        let mut options = Self::default();
        each(attrs, |meta| match name(meta).as_str() {
            "to_swarm" | "out_event" => once(meta, &mut options.to_swarm, quoted(meta, "a type")?),
            "prelude" | "crate" if options.prelude.is_some() || options.krate.is_some() => {
                Err(meta.error("the swarm crate has been named already: one `crate` or `prelude` is enough"))
            }
            "prelude" => once(meta, &mut options.prelude, quoted(meta, "a path")?),
            "crate" => once(meta, &mut options.krate, quoted(meta, "a path")?),
            "ignore" | "skip" => {
                Err(meta.error(format!("`{}` belongs on the field that is to be ignored", name(meta))))
            }
            unknown => {
                let why = format!("there is no `{unknown}`; a struct has `to_swarm`, `crate` and `prelude`");
                Err(meta.error(why))
            }
        })?;
        Ok(options)
    }

    fn prelude(&self) -> Result<TokenStream> {
        if let Some(prelude) = &self.prelude {
            return Ok(prelude.to_token_stream());
        }
        let krate = self.krate.as_ref().map_or_else(swarm_crate, |path| Ok(path.to_token_stream()))?;
        Ok(quote!(#krate::derive_prelude))
    }
}

/// Whatever the package calls it: `::peerage_swarm`, `::peerage::swarm`, `::libp2p::swarm`.
fn swarm_crate() -> Result<TokenStream> {
    // Our own examples and doc tests are "itself" too, but not in the crate: `crate::` would not do there.
    let called = |package: &str| match crate_name(package).ok()? {
        FoundCrate::Itself => syn::parse_str::<Ident>(&package.replace('-', "_")).ok(),
        FoundCrate::Name(name) => syn::parse_str(&name).ok(),
    };
    // The narrower one first: protocol crates have `peerage` among their dev-dependencies at most.
    if let Some(swarm) = called("peerage-swarm") {
        return Ok(quote!(::#swarm));
    }
    if let Some(facade) = called("peerage") {
        return Ok(quote!(::#facade::swarm));
    }
    let why = "neither `peerage` nor `peerage-swarm` is a dependency: say where the swarm crate is with \
               #[behaviour(crate = \"…\")]";
    Err(Error::new(Span::call_site(), why))
}

fn is_ignored(attrs: &[Attribute]) -> Result<bool> {
    let mut ignored = false;
    each(attrs, |meta| match name(meta).as_str() {
        "ignore" | "skip" => {
            ignored = true;
            Ok(())
        }
        known @ ("to_swarm" | "out_event" | "crate" | "prelude") => {
            Err(meta.error(format!("`{known}` belongs on the struct")))
        }
        unknown => Err(meta.error(format!("there is no `{unknown}`; a field has `ignore`"))),
    })?;
    Ok(ignored)
}

fn each(attrs: &[Attribute], mut found: impl FnMut(&ParseNestedMeta<'_>) -> Result<()>) -> Result<()> {
    let mut errors = Errors::default();
    for attr in attrs.iter().filter(|attr| attr.path().is_ident("behaviour")) {
        errors.take(attr.parse_nested_meta(|meta| found(&meta)));
    }
    errors.0.map_or(Ok(()), Err)
}

fn name(meta: &ParseNestedMeta<'_>) -> String {
    meta.path.to_token_stream().to_string()
}

fn quoted<T: Parse>(meta: &ParseNestedMeta<'_>, what: &str) -> Result<T> {
    let name = name(meta);
    let why = format!("`{name}` takes {what} in quotes: `{name} = \"…\"`");
    let Ok(value) = meta.value() else { return Err(Error::new_spanned(&meta.path, why)) };
    let literal: LitStr = value.parse().map_err(|e| Error::new(e.span(), why))?;
    let not = format!("`{}` is not {what}", literal.value());
    literal.parse().map_err(|_| Error::new_spanned(&literal, not))
}

fn once<T>(meta: &ParseNestedMeta<'_>, place: &mut Option<T>, value: T) -> Result<()> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(meta.error(format!("`{}` is given twice", name(meta)))),
    }
}

/// All errors at once, so that nobody has to compile ten times.
#[derive(Default)]
struct Errors(Option<Error>);

impl Errors {
    fn push(&mut self, error: Error) {
        match &mut self.0 {
            Some(all) => all.combine(error),
            None => self.0 = Some(error),
        }
    }
    fn take<T>(&mut self, result: Result<T>) -> Option<T> {
        result.map_err(|error| self.push(error)).ok()
    }
    fn into_error(self) -> Error {
        self.0.unwrap_or_else(|| Error::new(Span::call_site(), "this cannot be made a behaviour"))
    }
}
