//! The graph of modules: every path in the code is read, imported or not, and a path into another module is an
//! arrow to it. Code that is compiled only for tests does not count.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// Each module, and those it uses.
pub struct Graph(BTreeMap<String, BTreeSet<String>>);

/// A path as it is written, such as `["crate", "api", "Answer"]`.
type Words = Vec<String>;

impl Graph {
    /// Reads modules (`main` is the root) and their code.
    pub fn of<'a>(sources: impl Iterator<Item = (String, &'a str)>) -> Self {
        let files: Vec<(String, File)> = sources.map(|(module, code)| (module, File::read(code))).collect();
        let known: BTreeSet<String> = files.iter().map(|(module, _)| module.clone()).collect();
        let uses = |module: &str, file: &File| {
            let named = file.paths(module, &known);
            named.into_iter().filter(|to| to != module).collect::<BTreeSet<_>>()
        };
        Self(files.iter().map(|(module, file)| (module.clone(), uses(module, file))).collect())
    }

    /// All modules, each with those it uses.
    pub fn modules(&self) -> impl Iterator<Item = (&str, &BTreeSet<String>)> {
        self.0.iter().map(|(module, uses)| (module.as_str(), uses))
    }

    /// Every arrow: a module, and one that it uses.
    pub fn arrows(&self) -> impl Iterator<Item = (&str, &str)> {
        self.modules().flat_map(|(from, uses)| uses.iter().map(move |to| (from, to.as_str())))
    }

    /// The sets of modules that use each other in a cycle.
    pub fn cycles(&self) -> Vec<Vec<&str>> {
        let reached: BTreeMap<&str, BTreeSet<&str>> =
            self.modules().map(|(from, _)| (from, self.reached(from))).collect();
        let leads = |from: &str, to: &str| reached[from].contains(to);
        let sets = reached.keys().filter(|&&one| leads(one, one)).map(|&one| {
            let both_ways = reached.keys().filter(|&&other| leads(one, other) && leads(other, one));
            both_ways.copied().collect::<Vec<_>>()
        });
        sets.collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// All modules that a module uses, directly or through others.
    fn reached(&self, from: &str) -> BTreeSet<&str> {
        let mut reached = BTreeSet::new();
        let mut open: Vec<&str> = self.0[from].iter().map(String::as_str).collect();
        while let Some(next) = open.pop() {
            if reached.insert(next) {
                open.extend(self.0[next].iter().map(String::as_str));
            }
        }
        reached
    }
}

/// The names in one file.
#[derive(Default)]
struct File {
    /// Imported by `use`: the name in this file, and the path.
    imports: Vec<(String, Words)>,
    /// Paths in the code.
    named: Vec<Words>,
}

impl File {
    fn read(code: &str) -> Self {
        let mut file = Self::default();
        file.walk(code.parse().expect("Rust"));
        file
    }

    /// The modules of all these paths.
    fn paths(&self, module: &str, known: &BTreeSet<String>) -> Vec<String> {
        let imports: BTreeMap<&str, &Words> =
            self.imports.iter().map(|(name, words)| (name.as_str(), words)).collect();
        let whole = |words: &Words| match imports.get(words[0].as_str()) {
            Some(import) if !["crate", "self", "super"].contains(&words[0].as_str()) => {
                [&import[..], &words[1..]].concat()
            }
            _ => words.clone(),
        };
        let imported = self.imports.iter().map(|(_, words)| words.clone());
        imported
            .chain(self.named.iter().map(whole))
            .filter_map(|words| owner(module, &words, known))
            .collect()
    }

    fn walk(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut at = 0;
        while let Some(token) = tokens.get(at) {
            match token {
                TokenTree::Punct(mark) if mark.as_char() == '#' && is_test_only(tokens.get(at + 1)) => {
                    at = end_of_item(&tokens, at + 2);
                }
                TokenTree::Ident(word) if *word == "use" => {
                    let end = end_of_item(&tokens, at);
                    self.import(&[], &tokens[at + 1..end - 1]);
                    at = end;
                }
                TokenTree::Ident(word) if *word == "mod" && has_body(&tokens, at) => {
                    panic!("a module within a file, whose paths would be misread: {token}")
                }
                TokenTree::Ident(_) => {
                    let (words, end) = path(&tokens, at);
                    let is_field = at > 0 && is_mark(tokens.get(at - 1), '.');
                    if words.len() > 1 && !is_field {
                        self.named.push(words);
                    }
                    at = end;
                }
                TokenTree::Group(group) => {
                    self.walk(group.stream());
                    at += 1;
                }
                _ => at += 1,
            }
        }
    }

    /// Reads the tree of a `use`.
    fn import(&mut self, prefix: &[String], tokens: &[TokenTree]) {
        for branch in tokens.split(|token| is_mark(Some(token), ',')).filter(|branch| !branch.is_empty()) {
            let (words, end) = match &branch[0] {
                TokenTree::Ident(_) => path(branch, 0),
                _ => (Vec::new(), 0),
            };
            let mut all = [prefix, &words].concat();
            match branch[end..].iter().find(|token| !is_mark(Some(token), ':')) {
                Some(TokenTree::Group(group)) => {
                    self.import(&all, &group.stream().into_iter().collect::<Vec<_>>());
                    continue;
                }
                Some(TokenTree::Punct(star)) if star.as_char() == '*' => all.push("*".to_owned()),
                _ => {}
            }
            // `use module::{self}` is the module.
            if all.len() > 1 && all.last().is_some_and(|last| last == "self") {
                all.pop();
            }
            let renamed = match &branch[end..] {
                [TokenTree::Ident(word), TokenTree::Ident(name)] if *word == "as" => Some(name.to_string()),
                _ => None,
            };
            let name = renamed.or_else(|| all.last().cloned()).expect("a name");
            self.imports.push((name, all));
        }
    }
}

/// The words from this position on that are joined by `::`, and the position of their end.
fn path(tokens: &[TokenTree], mut at: usize) -> (Words, usize) {
    let mut words = Vec::new();
    while let Some(TokenTree::Ident(word)) = tokens.get(at) {
        words.push(word.to_string());
        at += 1;
        let goes_on = is_mark(tokens.get(at), ':') && is_mark(tokens.get(at + 1), ':');
        if !goes_on || !matches!(tokens.get(at + 2), Some(TokenTree::Ident(_))) {
            break;
        }
        at += 2;
    }
    (words, at)
}

fn is_mark(token: Option<&TokenTree>, mark: char) -> bool {
    matches!(token, Some(TokenTree::Punct(found)) if found.as_char() == mark)
}

/// Whether an attribute is `cfg(test)`.
fn is_test_only(attribute: Option<&TokenTree>) -> bool {
    attribute.is_some_and(|tokens| tokens.to_string().replace(' ', "") == "[cfg(test)]")
}

/// The position after the `;` or the body with which an item ends.
fn end_of_item(tokens: &[TokenTree], from: usize) -> usize {
    let ends = |token: &TokenTree| match token {
        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
        token => is_mark(Some(token), ';'),
    };
    let is_use = |at: usize| matches!(&tokens[at], TokenTree::Ident(word) if *word == "use");
    let only_mark = (from..tokens.len()).find(|&at| !is_mark(tokens.get(at), '#')).is_some_and(is_use);
    let end = (from..tokens.len())
        .find(|&at| if only_mark { is_mark(tokens.get(at), ';') } else { ends(&tokens[at]) });
    end.map_or(tokens.len(), |at| at + 1)
}

fn has_body(tokens: &[TokenTree], at: usize) -> bool {
    matches!(tokens.get(at + 2), Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace)
}

/// The module that contains what is named in `module`. `None`: it is in another crate, or it is a module
/// itself.
fn owner(module: &str, words: &[String], known: &BTreeSet<String>) -> Option<String> {
    let here: Vec<&str> = module.split("::").filter(|word| *word != "main").collect();
    let mut words = words.iter().map(String::as_str).peekable();
    let mut place = match *words.peek()? {
        "crate" => {
            words.next();
            Vec::new()
        }
        "self" => {
            words.next();
            here
        }
        "super" => {
            let mut above = here;
            while words.next_if_eq(&"super").is_some() {
                above.pop()?;
            }
            above
        }
        child if known.contains(&[&here[..], &[child]].concat().join("::")) => here,
        _ => return None,
    };
    while let Some(word) = words.next_if(|word| known.contains(&[&place[..], &[*word]].concat().join("::"))) {
        place.push(word);
    }
    words.next()?;
    Some(if place.is_empty() { "main".to_owned() } else { place.join("::") })
}

#[test]
fn the_graph_finds_what_is_named() {
    let sources = [
        ("main", "mod a; mod b; mod c; fn main() { a::run(); } #[cfg(test)] mod tests { use crate::b::X; }"),
        ("a", "use crate::b; use crate::c::{self, d::{Deep, Other as O}}; fn run() { b::f(c::g(1)) }"),
        ("b", "// crate::c::x\nfn f() { \"crate::c::x\"; std::env::var(1); x.c::<u8>() }"),
        ("c", "pub use d::Deep; mod d; #[cfg(test)] use crate::b::X;"),
        ("c::d", "fn f() { format!(\"{}\", super::super::b::f()); super::g(); self::h() }"),
    ];
    let graph = Graph::of(sources.iter().map(|(module, code)| ((*module).to_owned(), *code)));
    let arrows: Vec<_> = graph.arrows().collect();
    let wanted =
        [("a", "b"), ("a", "c"), ("a", "c::d"), ("c", "c::d"), ("c::d", "b"), ("c::d", "c"), ("main", "a")];
    assert_eq!(arrows, wanted);
    assert_eq!(graph.cycles(), [["c", "c::d"]]);
}
