package password

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"strings"
)

// Generate returns a password that satisfies the policy. A nil reader means
// crypto/rand. It fails on an invalid policy, when the reader fails or ends,
// and when ctx ends first.
//
// The required characters of each rule are drawn first, the rest from the union
// of all charsets, and the whole is shuffled. Drawing whole candidates until
// one satisfies every rule, the alternative, practically never ends for a
// policy whose min-chars add up to its length.
func (p Policy) Generate(ctx context.Context, reader io.Reader) (string, error) {
	if err := p.Validate(); err != nil {
		return "", fmt.Errorf("checking password policy: %w", err)
	}
	if reader == nil {
		reader = rand.Reader
	}
	dice := dice{ctx: ctx, reader: reader}
	var union strings.Builder
	password := make([]rune, 0, p.Length)
	for _, rule := range p.Rules {
		union.WriteString(rule.Charset)
		password = dice.draw(password, distinct(rule.Charset), rule.MinChars)
	}
	password = dice.draw(password, distinct(union.String()), p.Length-len(password))
	dice.shuffle(password)
	if dice.err != nil {
		return "", fmt.Errorf("generating password: %w", dice.err)
	}
	return string(password), nil
}

// dice draws unbiased numbers. After the first error every roll is 0, and err
// says why: callers check it once, at the end.
type dice struct {
	ctx    context.Context
	reader io.Reader
	err    error
}

// draw appends count characters of charset to password.
func (d *dice) draw(password, charset []rune, count int) []rune {
	for range count {
		password = append(password, charset[d.roll(len(charset))])
	}
	return password
}

// shuffle is Fisher and Yates's: every order is equally likely.
func (d *dice) shuffle(password []rune) {
	for i := len(password) - 1; i > 0; i-- {
		j := d.roll(i + 1)
		password[i], password[j] = password[j], password[i]
	}
}

// roll returns a number from 0 to sides-1. Two random bytes are drawn again
// when they fall into the last, incomplete multiple of sides: the remainder
// alone would favour small numbers. At most half of the draws are rejected,
// since sides stays under half of the 65,536 values.
func (d *dice) roll(sides int) int {
	const values = 1 << 16
	limit := values - values%sides
	var bytes [2]byte
	for d.err == nil {
		if d.err = d.ctx.Err(); d.err != nil {
			break
		}
		if _, d.err = io.ReadFull(d.reader, bytes[:]); d.err != nil {
			break
		}
		if value := int(bytes[0])<<8 | int(bytes[1]); value < limit {
			return value % sides
		}
	}
	return 0
}
