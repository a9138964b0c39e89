package config

// The tree is what every syntax comes down to: a body is a list of entries,
// and an entry has a key and a value. A block and an object are the same, so
// that `config { … }` and `config = { … }` are.

type body []entry

type entry struct {
	key    string
	labels []string // of a block: `sink "file" { … }` has one
	value  value
	at     Position // of the key
}

type kind int

const (
	invalid kind = iota // already reported by the parser
	text
	number
	boolean
	null
	list
	object
)

// String returns the kind as error messages call it.
func (k kind) String() string {
	return [...]string{"an invalid value", "a text", "a number", "a boolean", "null", "a list", "a block"}[k]
}

type value struct {
	kind   kind
	scalar string  // of a text its characters, of a number or boolean its spelling
	items  []value // of a list
	body   body    // of an object
	at     Position
	end    int // line of the closing brace of an object; 0 if unknown
}
