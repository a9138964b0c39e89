package oraclestandin

// block reads and runs PL/SQL of the simplest kind: BEGIN, any number of NULL;
// and EXECUTE IMMEDIATE 'statement';, END;.
func (p *parser) block() error {
	const invalid = "PLS-00103: Encountered an unexpected symbol"
	var steps []string
	p.need(6550, invalid, "BEGIN")
	for p.err == nil && !p.isWord("END") {
		if p.words("EXECUTE", "IMMEDIATE") {
			steps = append(steps, p.literal(6550, invalid))
		} else {
			p.need(6550, invalid, "NULL")
		}
		if !p.symbol(";") {
			p.fail(6550, invalid)
		}
	}
	p.need(6550, invalid, "END")
	if !p.symbol(";") || len(p.tokens) > 0 {
		p.fail(6550, invalid)
	}
	if p.err != nil {
		return p.err
	}
	for _, step := range steps {
		if _, err := p.session.run(step, nil); err != nil {
			return err
		}
	}
	return nil
}
