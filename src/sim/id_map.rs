//! `IdMap`: values by file id, found in constant time.
//!
//! Knows that ids ascend and are never reused: they are numbers of slots. A page of slots is freed
//! with its last value, so that a kernel that has opened many files holds those that are open.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::array;

use super::file::FileId;

/// Slots in a page: few enough that one value alone in a page wastes little.
const PAGE_SLOTS: usize = 64;

pub(super) struct IdMap<T> {
    /// Page `n` has the slots of the ids from `n * PAGE_SLOTS` on.
    pages: Vec<Option<Box<Page<T>>>>,
    len: usize,
}

struct Page<T> {
    slots: [Option<T>; PAGE_SLOTS],
    len: usize,
}

impl<T> IdMap<T> {
    pub(super) const fn new() -> Self {
        Self { pages: Vec::new(), len: 0 }
    }

    /// Adds the value of an id that has none.
    pub(super) fn insert(&mut self, id: FileId, value: T) {
        let (page, slot) = place(id);
        if page >= self.pages.len() {
            self.pages.resize_with(page + 1, || None);
        }
        let page = self.pages[page]
            .get_or_insert_with(|| Box::new(Page { slots: array::from_fn(|_| None), len: 0 }));
        let before = page.slots[slot].replace(value);
        assert!(before.is_none(), "an id has one value");
        page.len += 1;
        self.len += 1;
    }

    pub(super) fn remove(&mut self, id: FileId) -> Option<T> {
        let (index, slot) = place(id);
        let page = self.pages.get_mut(index)?.as_mut()?;
        let value = page.slots[slot].take()?;
        page.len -= 1;
        self.len -= 1;
        if page.len == 0 {
            self.pages[index] = None;
        }
        Some(value)
    }

    pub(super) fn get(&self, id: FileId) -> Option<&T> {
        let (page, slot) = place(id);
        self.pages.get(page)?.as_ref()?.slots[slot].as_ref()
    }

    pub(super) fn get_mut(&mut self, id: FileId) -> Option<&mut T> {
        let (page, slot) = place(id);
        self.pages.get_mut(page)?.as_mut()?.slots[slot].as_mut()
    }

    /// All values, by id.
    pub(super) fn iter(&self) -> impl Iterator<Item = (FileId, &T)> {
        let pages = (0..).step_by(PAGE_SLOTS).zip(&self.pages);
        let slots =
            pages.flat_map(|(first, page)| (first..).zip(page.iter().flat_map(|page| &page.slots)));
        slots.filter_map(|(id, value)| Some((id, value.as_ref()?)))
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }
}

/// The page of an id, and its slot there.
fn place(id: FileId) -> (usize, usize) {
    let id = usize::try_from(id).expect("fewer files were opened than fit memory");
    (id / PAGE_SLOTS, id % PAGE_SLOTS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_by_id_and_listed_in_its_order() {
        let mut map = IdMap::new();
        for id in [200, 3, 64, 63] {
            map.insert(id, id * 2);
        }
        assert_eq!(map.iter().map(|(id, _)| id).collect::<Vec<_>>(), [3, 63, 64, 200]);
        assert_eq!((map.get(64), map.get(65), map.get(9_999)), (Some(&128), None, None));
        *map.get_mut(3).unwrap() += 1;
        assert_eq!((map.remove(3), map.remove(3), map.len()), (Some(7), None, 3));
    }

    #[test]
    fn a_page_is_freed_with_its_last_value() {
        let mut map = IdMap::new();
        for id in 1..=1_000 {
            map.insert(id, ());
            map.remove(id - 1);
        }
        let pages = map.pages.iter().flatten().count();
        assert_eq!((map.len(), pages), (1, 1), "the memory of closed files is freed");
    }
}
