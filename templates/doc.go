// Package templates turns a text in the language of consul-template, and the
// secrets it asks for, into bytes. It touches no server and writes no file.
//
// A [Template] says what it wants by being evaluated: [Template.Render] takes
// the secrets there are and returns the output, or the wants that are still
// pending. Whoever calls it fetches those and renders again; a want inside the
// body of a pending "with" shows only in the pass after.
//
// The functions are those of consul-template, with differences that have a
// reason. What reads or asks (secret, secrets, pkiCert, file, env) is answered
// from what there is. What would have an effect is refused, but for
// writeToFile: its files are returned as [Effect]s, to be published with the
// output. What asks Consul or Nomad is refused when the template is made. The
// rest only computes, and a test holds every one of them to what
// consul-template itself gives; that is no part of the program, since with it
// the program would carry the clients of Consul and Nomad, and each evaluation
// set up 300 functions first (see library.go, BenchmarkRender).
//
// [NewFormat] makes what renders secrets without a text: the same in all but
// its language.
//
// An evaluation ends: after [MaxSteps] turns of loops and calls of defined
// templates, when these are nested too deep, or with more than [MaxOutput] bytes
// in the output, in the effects or in what one function returns. What is not
// bounded is the memory that one call takes of what it is given: a replaceAll
// within a long text, say. Errors name the template and the line, and never
// hold a part of a secret longer than five characters, unless a function
// encoded it.
//
// Start reading at [Template.Render].
package templates
