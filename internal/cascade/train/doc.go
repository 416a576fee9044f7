// Package train fits the pre-score and the score of a cascade to its log of
// labelled pairs, and finds the bounds of the pre-score.
//
// What is trained here decides which answers are served, so the pairs that it
// saw must not be used to certify that (package certify). The package reads no
// files and no clock; the same pairs and seed give the same bytes.
package train
