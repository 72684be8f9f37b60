pub struct Envelope;
