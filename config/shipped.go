package config

import (
	_ "embed"
	"fmt"
)

var (
	//go:embed quickstart.yaml
	quickstart []byte
	//go:embed prices.yaml
	pricesBook []byte
	//go:embed prices-more.yaml
	pricesMoreBook []byte
	//go:embed models.yaml
	modelsFile []byte
)

// Quickstart returns the configuration that the quickstart runs on. It needs
// the variable SLUICE_DEMO_KEY, the id of the demo tenant's key.
func Quickstart() []byte { return append([]byte(nil), quickstart...) }

// shipped reads the price books and the catalogue in the program, which come
// before what the operator names.
func (d *decoder) shipped(main *tree, c *Config) {
	for i, f := range []struct {
		name string
		data []byte
	}{{"prices.yaml", pricesBook}, {"prices-more.yaml", pricesMoreBook}} {
		if root, ok := d.parseFile(f.name, f.data); ok {
			outer := value{main, root.node, fmt.Sprintf("prices[%d]", i)}
			c.Prices = append(c.Prices, d.book(root, outer))
		}
	}
	if root, ok := d.parseFile("models.yaml", modelsFile); ok {
		catalogueSection(d, root, &c.Models)
	}
}
