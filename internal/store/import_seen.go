package store

// seen remembers which records and which people an import has written, so that a file cannot speak of one record twice
// and its rows do not overwrite each other. It takes a bit for each id in use: 250 kB for a million contacts with two
// identifiers each. A nil seen has seen nothing and remembers nothing.
type seen struct {
	contacts, externals idSet
}

func (s *seen) hasContact(id int64) bool  { return s != nil && s.contacts.has(id) }
func (s *seen) hasExternal(id int64) bool { return s != nil && s.externals.has(id) }

// add remembers what a committed plan wrote.
func (s *seen) add(p *plan) {
	if s == nil {
		return
	}
	for i := range p.people {
		s.contacts.add(p.people[i].id)
	}
	for _, id := range p.externals {
		s.externals.add(id)
	}
}

// idSet is a set of ids in pages of 32,768 bits. Ids are given out in order, so that pages are full or absent.
type idSet struct {
	pages map[int64]*[512]uint64
}

const idSetPage = 512 * 64

func (s *idSet) has(id int64) bool {
	page := s.pages[id/idSetPage]
	return page != nil && page[id%idSetPage/64]&(1<<(id%64)) != 0
}

func (s *idSet) add(id int64) {
	if s.pages == nil {
		s.pages = map[int64]*[512]uint64{}
	}
	page := s.pages[id/idSetPage]
	if page == nil {
		page = new([512]uint64)
		s.pages[id/idSetPage] = page
	}
	page[id%idSetPage/64] |= 1 << (id % 64)
}
