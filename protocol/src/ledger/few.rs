//! Small ordered sets: most slots hold one vote and one proof, and a ledger holds very many slots.

use std::collections::BTreeMap;

/// What has its place in an order by itself.
pub(super) trait Placed {
    type Place: Ord + Copy + std::fmt::Debug;
    fn place(&self) -> Self::Place;
}

/// Things by their places: one lies in here, some lie side by side, and only many make a tree.
#[derive(Clone, Debug)]
pub(super) enum Few<T: Placed> {
    One(T),
    Some(Vec<T>),
    Many(BTreeMap<T::Place, T>),
}

/// More than so many make a tree: inserting in the midst of a list costs its length.
const SOME_MAX: usize = 64;

impl<T: Placed> Default for Few<T> {
    fn default() -> Self {
        Self::Some(Vec::new())
    }
}

impl<T: Placed> Few<T> {
    pub(super) fn get(&self, place: &T::Place) -> Option<&T> {
        self.beginning_at(*place).next().filter(|thing| thing.place() == *place)
    }

    /// All, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        let (list, tree) = self.parts();
        list.iter().chain(tree.into_iter().flat_map(BTreeMap::values))
    }

    /// All from a place on, in order.
    pub(super) fn beginning_at(&self, place: T::Place) -> impl Iterator<Item = &T> {
        let (list, tree) = self.parts();
        let first = list.partition_point(|thing| thing.place() < place);
        let tree = tree.into_iter().flat_map(move |tree| tree.range(place..));
        list[first..].iter().chain(tree.map(|(_, thing)| thing))
    }

    /// All from a place on, in order, to be changed; their places must stay what they are.
    pub(super) fn change_from(&mut self, place: T::Place) -> impl Iterator<Item = &mut T> {
        let (list, tree): (&mut [T], _) = match self {
            Self::One(thing) => (std::slice::from_mut(thing), None),
            Self::Some(list) => (list, None),
            Self::Many(tree) => (&mut [], Some(tree)),
        };
        let first = list.partition_point(|thing| thing.place() < place);
        let tree = tree.into_iter().flat_map(move |tree| tree.range_mut(place..));
        list[first..].iter_mut().chain(tree.map(|(_, thing)| thing))
    }

    fn parts(&self) -> (&[T], Option<&BTreeMap<T::Place, T>>) {
        match self {
            Self::One(thing) => (std::slice::from_ref(thing), None),
            Self::Some(list) => (list, None),
            Self::Many(tree) => (&[], Some(tree)),
        }
    }

    /// Puts a thing in its place, instead of what was there.
    pub(super) fn insert(&mut self, thing: T) {
        let place = thing.place();
        match std::mem::take(self) {
            Self::Some(list) if list.is_empty() => *self = Self::One(thing),
            Self::One(first) if first.place() == place => *self = Self::One(thing),
            Self::One(first) => *self = Self::Some(in_order(vec![first], thing)),
            Self::Some(list) => *self = Self::Some(in_order(list, thing)),
            Self::Many(mut tree) => {
                tree.insert(place, thing);
                *self = Self::Many(tree);
            }
        }
        if let Self::Some(list) = self
            && SOME_MAX < list.len()
        {
            let tree = std::mem::take(list).into_iter().map(|thing| (thing.place(), thing));
            *self = Self::Many(tree.collect());
        }
    }

    /// Leaves only those that fit.
    pub(super) fn retain(&mut self, fits: impl Fn(&T) -> bool) {
        match self {
            Self::One(thing) if fits(thing) => {}
            Self::One(_) => *self = Self::default(),
            Self::Some(list) => list.retain(fits),
            Self::Many(tree) => tree.retain(|_, thing| fits(thing)),
        }
    }
}

fn in_order<T: Placed>(mut list: Vec<T>, thing: T) -> Vec<T> {
    match list.binary_search_by_key(&thing.place(), Placed::place) {
        Ok(at) => list[at] = thing,
        Err(at) => {
            if list.len() == list.capacity() {
                list.reserve_exact(1 + list.len() / 8);
            }
            list.insert(at, thing);
        }
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Placed for (u32, &'static str) {
        type Place = u32;
        fn place(&self) -> u32 {
            self.0
        }
    }

    #[test]
    fn few_and_many_are_the_same_set() {
        for count in [0, 1, 2, 5, 64, 65, 200] {
            let mut few = Few::default();
            // In no order, and each one twice.
            for n in (0..count).map(|n| n * 7919 % count).chain(0..count) {
                few.insert((n, if few.get(&n).is_some() { "again" } else { "first" }));
            }
            let all: Vec<_> = few.iter().copied().collect();
            assert_eq!(all, (0..count).map(|n| (n, "again")).collect::<Vec<_>>(), "{count}");
            let half = count / 2;
            assert_eq!(few.beginning_at(half).count() as u32, count - half);
            few.change_from(half).for_each(|thing| thing.1 = "late");
            assert_eq!(few.iter().filter(|thing| thing.1 == "late").count() as u32, count - half);
            few.retain(|thing| thing.0 < half);
            assert_eq!(few.iter().count() as u32, half);
            assert!(few.get(&half).is_none());
        }
    }
}
