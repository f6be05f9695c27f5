//! [`Syntax`]: the items of a Rust file that rules ask about, with their sizes and places.

use std::ops::RangeInclusive;

use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Attribute, FnArg, Signature, Visibility};

/// The items of a Rust file. Lines are counted from 1.
#[derive(Default)]
pub(crate) struct Syntax {
    /// Functions and methods with a body, by number of lines from signature to closing brace.
    pub(crate) functions: Vec<Sized>,
    /// Functions and methods, by number of parameters without `self`. Not those of `impl Trait for`
    /// blocks: their signature is the trait's choice.
    pub(crate) parameters: Vec<Sized>,
    /// Where the methods of `impl Trait for` blocks start: their contract is the trait's.
    pub(crate) trait_impl_methods: Vec<usize>,
    /// Parameters of type `bool` in public functions.
    pub(crate) public_bools: Vec<PublicBool>,
    /// Structs, by number of fields.
    pub(crate) structs: Vec<Sized>,
    /// Traits, by number of methods without a default.
    pub(crate) traits: Vec<Sized>,
    /// Items that are compiled for tests only, attributes included.
    pub(crate) test_lines: Vec<RangeInclusive<usize>>,
    /// Those of them that are modules with a body.
    pub(crate) test_modules: Vec<RangeInclusive<usize>>,
    /// Names of modules in other files that are compiled for tests only.
    pub(crate) test_module_names: Vec<String>,
    /// The `impl` or trait that is being visited.
    owners: Vec<Owner>,
}

/// A parameter of type `bool` in a public function.
pub(crate) struct PublicBool {
    /// `name`, or `Type::name`.
    pub(crate) function: String,
    /// Where its signature starts.
    pub(crate) line: usize,
}

/// An item with a size.
pub(crate) struct Sized {
    /// Its name.
    pub(crate) name: String,
    /// Where its name stands.
    pub(crate) line: usize,
    /// How many of what is counted.
    pub(crate) size: usize,
}

struct Owner {
    name: String,
    kind: OwnerKind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum OwnerKind {
    Impl,
    TraitImpl,
    Trait,
    PublicTrait,
}

impl Syntax {
    /// The items of a file.
    pub(crate) fn of(file: &syn::File) -> Syntax {
        let mut syntax = Syntax::default();
        syntax.visit_file(file);
        syntax
    }

    fn body(&mut self, signature: &Signature, body: &syn::Block) {
        let line = signature.span().start().line;
        let size = body.span().end().line + 1 - line;
        self.functions.push(Sized { name: self.qualified(signature), line, size });
    }

    fn signature(&mut self, signature: &Signature) {
        let line = signature.span().start().line;
        let size = signature.inputs.iter().filter(|input| matches!(input, FnArg::Typed(_))).count();
        self.parameters.push(Sized { name: self.qualified(signature), line, size });
    }

    fn public_signature(&mut self, signature: &Signature) {
        let line = signature.span().start().line;
        let num_bools = signature.inputs.iter().filter(|input| is_bool(input)).count();
        for _ in 0..num_bools {
            self.public_bools.push(PublicBool { function: self.qualified(signature), line });
        }
    }

    fn qualified(&self, signature: &Signature) -> String {
        match self.owners.last() {
            Some(owner) => format!("{}::{}", owner.name, signature.ident),
            None => signature.ident.to_string(),
        }
    }

    fn owner_kind(&self) -> Option<OwnerKind> {
        self.owners.last().map(|owner| owner.kind)
    }

    fn test_item(&mut self, attributes: &[Attribute], item: &impl Spanned) {
        if attributes.iter().any(is_test_attribute) {
            self.test_lines.push(lines_of(item));
        }
    }

    fn within(&mut self, name: String, kind: OwnerKind, visit: impl FnOnce(&mut Syntax)) {
        self.owners.push(Owner { name, kind });
        visit(self);
        self.owners.pop();
    }
}

impl<'ast> Visit<'ast> for Syntax {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.test_item(&item.attrs, item);
        // A function inside a method belongs to no type.
        let owners = std::mem::take(&mut self.owners);
        self.signature(&item.sig);
        self.body(&item.sig, &item.block);
        if is_public(&item.vis) {
            self.public_signature(&item.sig);
        }
        visit::visit_item_fn(self, item);
        self.owners = owners;
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.test_item(&item.attrs, item);
        self.body(&item.sig, &item.block);
        if self.owner_kind() == Some(OwnerKind::TraitImpl) {
            self.trait_impl_methods.push(item.sig.span().start().line);
        } else {
            self.signature(&item.sig);
        }
        if is_public(&item.vis) {
            self.public_signature(&item.sig);
        }
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        self.signature(&item.sig);
        if let Some(body) = &item.default {
            self.body(&item.sig, body);
        }
        if self.owner_kind() == Some(OwnerKind::PublicTrait) {
            self.public_signature(&item.sig);
        }
        visit::visit_trait_item_fn(self, item);
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        self.test_item(&item.attrs, item);
        let name = match &*item.self_ty {
            syn::Type::Path(path) => path.path.segments.last().map(|segment| segment.ident.to_string()),
            _ => None,
        };
        let name = name.unwrap_or_else(|| "impl".to_owned());
        let kind = if item.trait_.is_some() { OwnerKind::TraitImpl } else { OwnerKind::Impl };
        self.within(name, kind, |syntax| visit::visit_item_impl(syntax, item));
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        let is_required =
            |item: &&syn::TraitItem| matches!(item, syn::TraitItem::Fn(item) if item.default.is_none());
        let size = item.items.iter().filter(is_required).count();
        let (name, line) = (item.ident.to_string(), item.ident.span().start().line);
        self.traits.push(Sized { name: name.clone(), line, size });
        let kind = if is_public(&item.vis) { OwnerKind::PublicTrait } else { OwnerKind::Trait };
        self.within(name, kind, |syntax| visit::visit_item_trait(syntax, item));
    }

    fn visit_item_struct(&mut self, item: &'ast syn::ItemStruct) {
        let line = item.ident.span().start().line;
        self.structs.push(Sized { name: item.ident.to_string(), line, size: item.fields.len() });
        self.test_item(&item.attrs, item);
        visit::visit_item_struct(self, item);
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.test_item(&item.attrs, item);
        if item.attrs.iter().any(is_test_attribute) {
            match &item.content {
                Some(_) => self.test_modules.push(lines_of(item)),
                None => self.test_module_names.push(item.ident.to_string()),
            }
        }
        visit::visit_item_mod(self, item);
    }
}

fn lines_of(item: &impl Spanned) -> RangeInclusive<usize> {
    let span = item.span();
    span.start().line..=span.end().line
}

fn is_public(visibility: &Visibility) -> bool {
    matches!(visibility, Visibility::Public(_))
}

fn is_bool(input: &FnArg) -> bool {
    let FnArg::Typed(typed) = input else { return false };
    matches!(&*typed.ty, syn::Type::Path(path) if path.path.is_ident("bool"))
}

/// `#[test]` in any spelling, or a `#[cfg(..)]` that holds in tests only.
fn is_test_attribute(attribute: &Attribute) -> bool {
    let path = attribute.path();
    if path.is_ident("cfg") {
        let Ok(list) = attribute.meta.require_list() else { return false };
        let condition = list.tokens.to_string().replace(' ', "");
        return condition == "test" || condition.starts_with("all(test,");
    }
    path.segments.last().is_some_and(|segment| segment.ident == "test")
}
