package config

// maxNesting bounds brackets: the parsers recurse on them, and a stack that
// overflows cannot be recovered from.
const maxNesting = 100

// The tree is what every syntax comes down to: a body is a list of entries,
// and an entry has a key and a value. A block and an object are the same.
type body []entry

type entry struct {
	key    string
	labels []string // of a block in HCL: `listener "tcp" { … }` has one
	value  value
	at     Position // of the key
}

type kind int

const (
	null kind = iota
	text
	number
	boolean
	list
	object
)

// String returns the kind as error messages call it.
func (k kind) String() string {
	return [...]string{"null", "a text", "a number", "a boolean", "a list", "a block"}[k]
}

type value struct {
	kind   kind
	scalar string  // of a text its characters, of a number or boolean its spelling
	items  []value // of a list
	body   body    // of an object
	at     Position
}
