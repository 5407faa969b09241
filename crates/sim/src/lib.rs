//! Solo: one behaviour, without I/O, held to the contract of the SPI
