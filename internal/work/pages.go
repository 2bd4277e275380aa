package work

import "sync"

// pageSize is room for some dozens of usual messages.
const pageSize = 256 << 10

var pagePool = sync.Pool{New: func() any { return new([pageSize]byte) }}

// pages hold the messages of a batch side by side, in memory that the next batches use again.
type pages struct {
	used []*[pageSize]byte
	free []byte // what is left of the last one: nothing is in it, and its capacity is what fits
}

// room is where a message of about so many bytes can be appended. What does not fit finds memory of its own.
func (p *pages) room(size int) []byte {
	if size > cap(p.free) && size <= pageSize {
		page, _ := pagePool.Get().(*[pageSize]byte)
		p.used = append(p.used, page)
		p.free = page[:0]
	}
	return p.free
}

// keep has the next message be written behind this one, where it stands in the room that was given.
func (p *pages) keep(message []byte) []byte {
	n := len(message)
	if n > 0 && n <= cap(p.free) && &message[0] == &p.free[:1][0] {
		p.free = p.free[n:n]
	}
	return message[:n:n]
}

// giveBack lets others use the memory: nobody reads the messages any more.
func (p *pages) giveBack() {
	for _, page := range p.used {
		pagePool.Put(page)
	}
	p.used, p.free = nil, nil
}
