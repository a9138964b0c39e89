package vault

import (
	"errors"
	"io"

	"github.com/hashicorp/vault/api"
)

const (
	// maxSecret is the largest answer in bytes that a client decodes, which
	// takes several times as much; a server stores no secret of that size.
	maxSecret = 8 << 20
	// maxElements is how many elements of lists and objects it may have in all.
	// One of two characters takes a hundred bytes and more once it is decoded.
	maxElements = 1 << 18
)

var errTooMany = errors.New("the answer has too many elements")

// decode reads an answer of the API; nil stands for one without content.
func decode(answer io.Reader) (*api.Secret, error) {
	bounded := &boundedBody{ReadCloser: io.NopCloser(answer), limit: maxSecret, left: maxSecret}
	return api.ParseSecret(&elementReader{bounded, maxElements})
}

// elementReader refuses an answer that is small as text and large as what it stands
// for. It need not know what is within quotes: text has few commas.
type elementReader struct {
	io.Reader
	left int
}

// Read implements [io.Reader].
func (r *elementReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	for _, c := range p[:n] {
		if c == ',' || c == '{' || c == '[' {
			r.left--
		}
	}
	if r.left < 0 {
		return n, errTooMany
	}
	return n, err
}
