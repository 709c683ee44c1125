import accounts.fields
from django.db import migrations, models

from backups.storages import kinds


class Migration(migrations.Migration):

    dependencies = [
        ('backups', '0004_mysql'),
    ]

    operations = [
        migrations.AlterField(
            model_name='destination',
            name='kind',
            field=models.CharField(choices=kinds.choices, default='local', max_length=20),
        ),
        migrations.AlterField(
            model_name='destination',
            name='options',
            field=models.JSONField(blank=True, default=dict, help_text='What the kind wants to know'),
        ),
        migrations.AlterField(
            model_name='destination',
            name='secret',
            field=accounts.fields.EncryptedTextField(blank=True, help_text='What the kind wants to keep secret'),
        ),
    ]
