//! Static types, as far as expr-lang's checker knows them (`checker/nature`).

use std::fmt;

/// A type without the lists around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Base {
    /// Not known before the expression runs.
    Unknown,
    /// Go's `any`: what a map holds. Unlike [`Base::Unknown`] everything can be assigned to it.
    Any,
    Nil,
    Bool,
    Int,
    Float,
    Text,
    Duration,
    Time,
    Zone,
    /// A month or a day of the week.
    Named,
    /// Go's `[]string`, which `split` gives: no `[]any`.
    Texts,
    /// A map whose keys are strings.
    Map,
    /// A map whose keys are anything.
    AnyMap,
    /// The result of `groupBy`.
    Groups,
}

/// A type: `lists` layers of `[]any` around a base.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Type {
    pub(super) base: Base,
    lists: u8,
}

impl Type {
    pub(super) const UNKNOWN: Self = Self::of(Base::Unknown);
    pub(super) const ANY: Self = Self::of(Base::Any);
    pub(super) const NIL: Self = Self::of(Base::Nil);
    pub(super) const BOOL: Self = Self::of(Base::Bool);
    pub(super) const INT: Self = Self::of(Base::Int);
    pub(super) const FLOAT: Self = Self::of(Base::Float);
    pub(super) const TEXT: Self = Self::of(Base::Text);
    pub(super) const DURATION: Self = Self::of(Base::Duration);
    pub(super) const TIME: Self = Self::of(Base::Time);
    pub(super) const ZONE: Self = Self::of(Base::Zone);
    pub(super) const NAMED: Self = Self::of(Base::Named);
    pub(super) const TEXTS: Self = Self::of(Base::Texts);
    pub(super) const MAP: Self = Self::of(Base::Map);
    pub(super) const ANY_MAP: Self = Self::of(Base::AnyMap);
    pub(super) const GROUPS: Self = Self::of(Base::Groups);
    /// `[]any`
    pub(super) const LIST: Self = Self { base: Base::Any, lists: 1 };

    pub(super) const fn of(base: Base) -> Self {
        Self { base, lists: 0 }
    }

    /// `[]any` whose items are of this type.
    pub(super) fn list(self) -> Self {
        Self { lists: self.lists.saturating_add(1), ..self }
    }

    fn is(self, base: Base) -> bool {
        self.lists == 0 && self.base == base
    }

    pub(super) fn is_unknown(self) -> bool {
        self.is(Base::Unknown) || self.is(Base::Any)
    }

    pub(super) fn is_nil(self) -> bool {
        self.is(Base::Nil)
    }

    pub(super) fn is_bool(self) -> bool {
        self.is(Base::Bool)
    }

    pub(super) fn is_int(self) -> bool {
        self.is(Base::Int)
    }

    pub(super) fn is_float(self) -> bool {
        self.is(Base::Float)
    }

    pub(super) fn is_number(self) -> bool {
        self.is_int() || self.is_float()
    }

    pub(super) fn is_text(self) -> bool {
        self.is(Base::Text)
    }

    pub(super) fn is_time(self) -> bool {
        self.is(Base::Time)
    }

    pub(super) fn is_duration(self) -> bool {
        self.is(Base::Duration)
    }

    /// Any list, also Go's `[]string`.
    pub(super) fn is_list(self) -> bool {
        self.lists > 0 || self.base == Base::Texts
    }

    /// Go's `[]any` exactly.
    pub(super) fn is_any_list(self) -> bool {
        self.lists > 0
    }

    pub(super) fn is_map(self) -> bool {
        self.lists == 0 && matches!(self.base, Base::Map | Base::AnyMap | Base::Groups)
    }

    /// What its keys are.
    pub(super) fn key(self) -> Self {
        if self.is(Base::Map) { Self::TEXT } else { Self::ANY }
    }

    /// What its items or values are.
    pub(super) fn elem(self) -> Self {
        match (self.lists, self.base) {
            (0, Base::Texts) => Self::TEXT,
            (0, Base::Groups) => Self::LIST,
            (0, Base::Map | Base::AnyMap) => Self::ANY,
            (0, _) => Self::UNKNOWN,
            (lists, base) => Self { base, lists: lists.saturating_sub(1) },
        }
    }

    /// Go's `reflect.Kind`, as far as lists of one kind need it.
    pub(super) fn same_kind(self, other: Self) -> bool {
        let shape = |t: Self| match (t.lists, t.base) {
            (0, Base::Nil) => Base::Unknown,
            (0, Base::Named | Base::Duration) => Base::Duration,
            (0, Base::AnyMap | Base::Groups) => Base::Map,
            (0, base) => base,
            (_, _) => Base::Texts,
        };
        shape(self) == shape(other)
    }

    pub(super) fn assignable_to(self, other: Self) -> bool {
        if self.is_nil() {
            return other.is_map() || other.is_list() || other.is(Base::Any);
        }
        if self.is(Base::Unknown) || other.is(Base::Unknown) || other.is_nil() {
            return false;
        }
        other.is(Base::Any)
            || (self.is_any_list() && other.is_any_list())
            || (self.lists == 0 && other.lists == 0 && self.base == other.base)
    }

    /// Whether `==` may compare the two.
    pub(super) fn comparable_to(self, other: Self) -> bool {
        self.is_unknown()
            || other.is_unknown()
            || self.is_nil()
            || other.is_nil()
            || (self.is_number() && other.is_number())
            || (self.is_list() && other.is_list())
            || self.assignable_to(other)
    }

    /// Whether one of the two is not known and the other one is not known or passes `check`.
    pub(super) fn maybe(self, other: Self, check: fn(Self) -> bool) -> bool {
        match (self.is_unknown(), other.is_unknown()) {
            (true, true) => true,
            (true, false) => check(other),
            (false, true) => check(self),
            (false, false) => false,
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.lists > 0 {
            return f.write_str("list");
        }
        f.write_str(match self.base {
            Base::Unknown | Base::Any => "unknown",
            Base::Nil => "nil",
            Base::Bool => "bool",
            Base::Int => "int",
            Base::Float => "float",
            Base::Text => "string",
            Base::Duration => "duration",
            Base::Time => "time",
            Base::Zone => "timezone",
            Base::Named => "name",
            Base::Texts => "list of strings",
            Base::Map | Base::AnyMap | Base::Groups => "map",
        })
    }
}
