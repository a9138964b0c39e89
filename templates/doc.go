// Package templates turns a text in the language of consul-template, and the
// secrets it asks for, into bytes. It touches no server and writes no file.
//
// A [Template] says what it wants by being evaluated: [Template.Render] takes
// the secrets there are and returns the output, or the wants that are still
// pending. Whoever calls it fetches those and renders again; a want inside the
// body of a pending "with" shows only in the pass after.
//
// The functions are those of consul-template, with differences that have a
// reason. secret, secrets, file, loop and the env functions are our own;
// whatever has an effect, or asks a server other than the secrets' own, is
// refused when the template is made (see functions.go). Evaluation is
// text/template's, with consul-template's functions brought in for templates
// that use any: it sets up its 300 functions at each evaluation, which takes far
// longer than evaluating the usual template (see BenchmarkRender).
//
// An evaluation ends: after [MaxSteps] turns of loops and calls of defined
// templates, when these are nested too deep, or with more than [MaxOutput] bytes.
// What is not bounded is the memory a single function takes (sprig_repeat,
// say), nor the output before its size is checked where consul-template's
// functions are used. Errors name the template and the line, and never hold a
// part of a secret longer than five characters, unless a function encoded it.
//
// Start reading at [Template.Render].
package templates
