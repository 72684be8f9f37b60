//! Short lists of words, and what a word can be besides a term.

/// What a word can be besides a term: one bit each.
pub(in crate::classify) mod flag {
    pub(in crate::classify) const GIVEN: u32 = 1;
    pub(in crate::classify) const STREET: u32 = 1 << 1;
    pub(in crate::classify) const YOUR: u32 = 1 << 2;
    /// May stand between a label and its number.
    pub(in crate::classify) const FILLER: u32 = 1 << 3;
    pub(in crate::classify) const MONTH: u32 = 1 << 4;
    pub(in crate::classify) const STATE: u32 = 1 << 5;
    /// A unit of a dose.
    pub(in crate::classify) const DOSE: u32 = 1 << 6;
    /// A unit of a measurement.
    pub(in crate::classify) const UNIT: u32 = 1 << 7;
    /// Ends a street's name, and is hardly anything else.
    pub(in crate::classify) const SURE_STREET: u32 = 1 << 8;
    pub(in crate::classify) const YEARS: u32 = 1 << 9;
    pub(in crate::classify) const SURNAME: u32 = 1 << 10;
    /// A given name that is a plain word too.
    pub(in crate::classify) const WORD: u32 = 1 << 11;
    /// Begins no name and ends none, though it may have a capital.
    pub(in crate::classify) const NOT_NAME: u32 = 1 << 12;
    pub(in crate::classify) const TITLE: u32 = 1 << 13;
    /// The title of a health worker.
    pub(in crate::classify) const DOCTOR: u32 = 1 << 14;
    /// Letters behind the name of a health worker.
    pub(in crate::classify) const CREDENTIAL: u32 = 1 << 15;
    /// Often stands before a name, and before little else that has two capitals.
    pub(in crate::classify) const LEAD: u32 = 1 << 16;
    pub(in crate::classify) const GREETING: u32 = 1 << 17;
    /// The name of a patient or a relative follows.
    pub(in crate::classify) const NAME_LABEL: u32 = 1 << 18;
    /// Heads a field with a name.
    pub(in crate::classify) const FIELD: u32 = 1 << 19;
    /// `de la` within a name.
    pub(in crate::classify) const PARTICLE: u32 = 1 << 20;
    /// Only a patient's name has it behind.
    pub(in crate::classify) const BESIDE: u32 = 1 << 21;
    /// What a sentence about a person goes on with.
    pub(in crate::classify) const ACTS: u32 = 1 << 22;
    /// May stand in front of that.
    pub(in crate::classify) const THEN: u32 = 1 << 23;
    /// Ends the name of a site.
    pub(in crate::classify) const SITE: u32 = 1 << 24;
    /// Ends the name of a site that has a path; else it is hardly one.
    pub(in crate::classify) const SITE_WITH_PATH: u32 = 1 << 25;
    /// A road that has a number for a name.
    pub(in crate::classify) const HIGHWAY: u32 = 1 << 26;
    /// Begins a street's name, as in Spanish.
    pub(in crate::classify) const STREET_FIRST: u32 = 1 << 27;
    /// Stands near the address of a machine.
    pub(in crate::classify) const MACHINE: u32 = 1 << 28;
    /// Stands before a house number.
    pub(in crate::classify) const DWELLS: u32 = 1 << 29;
}

/// Numbers of three digits and more in terms and cues: all others of one length are the same word.
pub(super) const NUMBERS: &str = "100 125 835 1099 5150";

/// Short lists of words.
pub(super) const WORDS: [(&str, u32); 25] = [
    ("your su sus tu tus", flag::YOUR),
    (
        "number numbers num no nbr nr id ids code codes is was are of the on file for her his my our their him them your patient pt this new current line no. \
         primary secondary card ending in as listed n o número es del la el key value identification identifier # x",
        flag::FILLER,
    ),
    (
        "jan january feb february mar march apr april may jun june jul july aug august sep sept september oct october nov \
         november dec december enero febrero marzo abril mayo junio julio agosto septiembre setiembre octubre noviembre \
         diciembre ene abr ago dic",
        flag::MONTH,
    ),
    (
        "al ak az ar ca co ct de dc fl ga hi id il in ia ks ky la me md ma mi mn ms mo mt ne nv nh nj nm ny nc nd oh ok or pa \
         pr ri sc sd tn tx ut vt va wa wv wi wy gu vi mp as alabama alaska arizona arkansas california colorado connecticut \
         delaware florida georgia hawaii idaho illinois indiana iowa kansas kentucky louisiana maine maryland massachusetts \
         michigan minnesota mississippi missouri montana nebraska nevada ohio oklahoma oregon pennsylvania tennessee texas \
         utah vermont virginia washington wisconsin wyoming",
        flag::STATE,
    ),
    (
        "mg mcg ug ml meq unit units iu tablet tablets tab tabs capsule capsules cap caps puff puffs drop drops gtt patch \
         patches spray sprays suppository lozenge lozenges vial vials mgs pill pills cc tableta tabletas pastilla pastillas \
         gotas cápsula cápsulas",
        flag::DOSE,
    ),
    ("mmhg bpm mmol meq ng pg fl nmol pmol umol cells mm3 dl uiu miu", flag::UNIT),
    (
        "street st avenue ave road rd drive dr lane ln boulevard blvd court ct circle place pl terrace parkway pkwy highway hwy way",
        flag::SURE_STREET,
    ),
    ("mr mrs ms miss mx sra sr srta señora señor don doña master mme", flag::TITLE),
    ("dr doctor doctora dra prof professor nurse rn", flag::DOCTOR),
    (
        "md do rn np pa dds dmd pharmd phd lcsw dpm od aprn fnp cpa esq crna lpn cna lmft lpc psyd dvm dnp cnm facs facp \
         rph ms-ccc cnp ccc slp rd rdn dc lmt bcba",
        flag::CREDENTIAL,
    ),
    (
        "for about regarding saw seen met hi hello dear with re examined treated is see call called told asked para sobre \
         hola estimado estimada named reached",
        flag::LEAD,
    ),
    ("hi hello dear hey hola estimado estimada querida querido", flag::GREETING),
    (
        "patient pt member subscriber insured beneficiary claimant resident client worker paciente nombre name child son \
         daughter husband wife mother father mom dad brother sister dependent baby grandmother grandfather grandma grandpa \
         aunt uncle niece nephew spouse partner enrollee policyholder guarantor student hijo hija madre padre esposo esposa \
         hermano hermana abuela abuelo mamá papá bebé donor recipient decedent",
        flag::NAME_LABEL,
    ),
    ("names apellido apellidos re attn subject regarding person who employee guardian parent", flag::FIELD),
    ("de la del los las van von der den di da dos el al bin ibn st", flag::PARTICLE),
    ("dob d mrn ssn age aged mbi edad", flag::BESIDE),
    (
        "underwent presents presented returns returned reports reported denies complains complained states tolerated called \
         takes had has needs missed wants suffers fell died broke tested received started stopped canceled cancelled \
         rescheduled seen admitted discharged diagnosed referred scheduled came brought attended consented endorses admits \
         describes ambulated relapsed smokes drinks weighs refused \
         declined vomited fainted collapsed slept complained passed failed acude presenta refiere niega tomó tiene",
        flag::ACTS,
    ),
    ("also then who was has been is had will be", flag::THEN),
    ("com org net edu gov", flag::SITE),
    ("mil io us health care app co uk info example ca mx clinic dental", flag::SITE_WITH_PATH),
    ("hwy highway route rte rt fm cr sr interstate freeway", flag::HIGHWAY),
    ("calle avenida camino paseo via calzada calz carrera colonia rue", flag::STREET_FIRST),
    (
        "ip host from address addr client server login gateway dns ping ssh subnet via peer source router machine computer \
         network logged desde dirección",
        flag::MACHINE,
    ),
    ("at address lives resides reside residing live to en vive domicilio dirección", flag::DWELLS),
    ("yo y yr yrs year years yof yom años año", flag::YEARS),
];
