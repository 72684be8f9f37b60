// Nodemailer sends each kind of message by both doors. What it sent lies afterwards in the folder SENT.
//
// With TRUST=no it is given no authority to trust, and has to turn away from both doors.

'use strict';

const { readFileSync, writeFileSync } = require('fs');
const { PassThrough } = require('stream');
const nodemailer = require('nodemailer');

const { HOST, NAME, PASSWORD, SENT, CA } = process.env;
const TRUSTED = process.env.TRUST === 'yes';
const DOORS = { starttls: Number(process.env.STARTTLS), tls: Number(process.env.TLS) };
const MECHANISMS = ['PLAIN', 'LOGIN', undefined];
const KINDS = {
    text: { text: 'Results\n.\n..dots\n' },
    html: { text: 'Results\n', html: '<p>R\u00e9sultats</p>' },
    attachment: { text: 'See the file\n', attachments: [{ filename: 'Ergebnis f\u00fcr Ann.bin', content: Buffer.alloc(10240, 7) }] },
    'eight-bit': { attachments: [{ content: Buffer.from('R\u00e9sultats\r\n', 'latin1'), contentType: 'text/plain; charset=iso-8859-1', contentTransferEncoding: '8bit' }] },
    utf8: { subject: 'Gr\u00f6\u00dfe der R\u00f6ntgenbilder', text: 'Gr\u00f6\u00dfe: \u7d50\u679c \u{1fa7a}\n' },
    smtputf8: { subject: 'Gr\u00f6\u00dfe', text: 'Gr\u00f6\u00dfe\n' },
};

function transport(door, authMethod) {
    return nodemailer.createTransport({
        host: HOST,
        port: DOORS[door],
        secure: door === 'tls',
        requireTLS: true,
        tls: { servername: NAME, ca: TRUSTED ? readFileSync(CA) : undefined },
        auth: { user: 'ehr', pass: PASSWORD },
        authMethod,
    });
}

// Keeps a copy of what goes out. The line ends become those of mail behind this, when it writes to the server.
function copy(mail, done) {
    const keep = [];
    mail.message.processFunc(input => {
        const output = new PassThrough();
        input.on('data', piece => keep.push(piece));
        input.on('end', () => {
            const content = Buffer.concat(keep).toString('latin1').replace(/\r?\n/g, '\r\n');
            writeFileSync(`${SENT}/${mail.data.name}.eml`, content, 'latin1');
        });
        return input.pipe(output);
    });
    done();
}

async function send(door, kind, authMethod) {
    const name = `${door}-${kind === 'smtputf8' ? 'gr\u00f6\u00dfe' : kind}`;
    const to = `${name}@lab.example`;
    const envelope = { from: 'ann@clinic.example', to, use8BitMime: kind === 'eight-bit' };
    const transporter = transport(door, authMethod).use('stream', copy);
    const mail = { from: 'Ann Lee <ann@clinic.example>', to, subject: 'Results', name, envelope, ...KINDS[kind] };
    const { rejected } = await transporter.sendMail(mail);
    if (rejected.length > 0) throw new Error(`${name}: rejected`);
}

async function distrust(door) {
    try {
        await transport(door).verify();
    } catch (error) {
        console.log(`${door}: ${error.message}`);
        return;
    }
    throw new Error(`${door}: a certificate was trusted that nobody vouches for`);
}

async function all() {
    for (const door of Object.keys(DOORS)) {
        if (!TRUSTED) {
            await distrust(door);
            continue;
        }
        for (const [at, kind] of Object.keys(KINDS).entries()) {
            await send(door, kind, MECHANISMS[at % 3]);
        }
    }
}

all().catch(error => {
    console.error(error);
    process.exit(1);
});
