package oraclestandin

// maxNameBytes is the longest name of an Oracle before 12.2.
const maxNameBytes = 30

// parser reads the tokens of a statement. The first mistake is kept in err;
// after it nothing more is read.
type parser struct {
	session *session
	tokens  []token
	binds   []string // of the variables not yet read
	err     error
}

func (p *parser) database() *database { return p.session.database }

// fail keeps the first mistake.
func (p *parser) fail(code int, format string, args ...any) {
	if p.err == nil {
		p.err = refuse(code, format, args...)
	}
}

// next returns the token at hand and goes on.
func (p *parser) next() (token, bool) {
	if p.err != nil || len(p.tokens) == 0 {
		return token{}, false
	}
	taken := p.tokens[0]
	p.tokens = p.tokens[1:]
	return taken, true
}

func (p *parser) isWord(text string) bool {
	return p.err == nil && len(p.tokens) > 0 && p.tokens[0].is(word, text)
}

// words goes past the words if they come next, all of them.
func (p *parser) words(texts ...string) bool {
	if p.err != nil || len(p.tokens) < len(texts) {
		return false
	}
	for i, text := range texts {
		if !p.tokens[i].is(word, text) {
			return false
		}
	}
	p.tokens = p.tokens[len(texts):]
	return true
}

// need is words that have to come.
func (p *parser) need(code int, message string, texts ...string) {
	if !p.words(texts...) {
		p.fail(code, "%s", message)
	}
}

// symbol goes past a symbol if it comes next.
func (p *parser) symbol(text string) bool {
	if p.err != nil || len(p.tokens) == 0 || !p.tokens[0].is(symbol, text) {
		return false
	}
	p.tokens = p.tokens[1:]
	return true
}

// name reads a name; code and message are for when there is none.
func (p *parser) name(code int, message string) string {
	taken, ok := p.next()
	switch {
	case !ok || taken.kind != word && taken.kind != quoted:
		p.fail(code, "%s", message)
	case len(taken.text) > maxNameBytes:
		p.fail(972, "identifier is too long")
	}
	return taken.text
}

// object reads [owner.]name, and returns OWNER.NAME.
func (p *parser) object() string {
	first := p.name(903, "invalid table name")
	if p.symbol(".") {
		return first + "." + p.name(903, "invalid table name")
	}
	if _, own := p.database().tables[p.session.user+"."+first]; !own && synonyms[first] != "" {
		return synonyms[first]
	}
	return p.session.user + "." + first
}

// literal reads a string.
func (p *parser) literal(code int, message string) string {
	taken, ok := p.next()
	if !ok || taken.kind != literal {
		p.fail(code, "%s", message)
	}
	return taken.text
}

// end expects nothing more, and returns the first mistake.
func (p *parser) end() error {
	if p.err == nil && len(p.tokens) > 0 {
		p.fail(933, "SQL command not properly ended")
	}
	if p.err == nil && len(p.binds) > 0 {
		p.fail(1036, "illegal variable name/number")
	}
	return p.err
}

// allowed is end, and looks whether the user has a system privilege.
func (p *parser) allowed(privilege string) error {
	if err := p.end(); err != nil {
		return err
	}
	if !p.database().may(p.session.user, privilege) {
		return refuse(1031, "insufficient privileges")
	}
	return nil
}
